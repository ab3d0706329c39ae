#!/bin/sh
# Bring models/ as the last training on the default branch kept it, an artifact of CI, so that a candidate is held
# against what is in production. Where there is none yet, nothing is here to be compared with, which is said.
set -eu
cd "$(dirname "$0")/.."
# {% if cookiecutter.ci == "github" %}
# From this repository's own runs on that branch alone: a fork may call its branch the same.
found=$(gh api "repos/$GITHUB_REPOSITORY/actions/artifacts?name=models&per_page=100" --jq '
	[.artifacts[] | select(.expired | not) | select(.workflow_run.head_branch == env.DEFAULT_BRANCH)
	| select(.workflow_run.head_repository_id == .workflow_run.repository_id)][0].workflow_run.id // empty')
if [ -z "$found" ]; then
	echo "No run on $DEFAULT_BRANCH kept a model in the last 90 days: there is none to compare with."
	exit
fi
gh run download "$found" --repo "$GITHUB_REPOSITORY" --name models --dir build
# {% else %}
mkdir -p build
address="$CI_API_V4_URL/projects/$CI_PROJECT_ID/jobs/artifacts/$CI_DEFAULT_BRANCH/raw/build/models.tar?job=train"
answer=$(curl --silent --show-error --location --output build/models.tar --write-out '%{http_code}' \
	--header "JOB-TOKEN: $CI_JOB_TOKEN" "$address")
case $answer in
200) ;;
404)
	echo "No job on $CI_DEFAULT_BRANCH kept a model yet: there is none to compare with."
	rm -f build/models.tar
	exit
	;;
*)
	echo "error: GitLab answered $answer to the question for the models" >&2
	rm -f build/models.tar
	exit 1
	;;
esac
# {% endif %}
tar -xf build/models.tar

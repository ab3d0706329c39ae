#!/bin/sh
# Take what is new in the template that this project was made from, as changes that are not committed:
#   scripts/update_from_template.sh [REPORT]
# The report, in Markdown, is printed too: what changed, and which files want a decision. Then the exit code is 3.
set -eu
cd "$(dirname "$0")/.."
fail() {
	echo "error: $1" >&2
	exit 1
}
[ -f .cruft.json ] || fail "no .cruft.json says what this project was made from; uvx cruft link ADDRESS makes it"
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed; commit them, then run this again"
uv=$(command -v uv || echo "$PWD/.uv/bin/uv")
cruft() {
	"$uv" tool run --quiet cruft@2.16.0 "$@"
}

if cruft check > /dev/null 2>&1; then
	echo "Nothing is new in the template."
	exit
fi
# Settings of the template, such as the files that it copies, are those of the new one.
cruft update --skip-apply-ask --refresh-private-variables > /dev/null
[ -n "$(git status --porcelain)" ] || fail "cruft changed nothing, not even .cruft.json"

# cruft says that all went well whether it did or not. Where git could not merge, there are files of refused changes.
conflicts=$(
	git diff --name-only --diff-filter=U
	git ls-files --others --exclude-standard '*.rej'
)
{
	echo "What is new in the template:"
	echo
	git diff --stat=100 HEAD | sed 's/^/    /'
	if [ -n "$conflicts" ]; then
		echo
		echo "Both you and the template changed these files; look for \`<<<<<<<\` in them, then \`git add\` them."
		echo "A file \`.rej\` has what could not be put into the file of its name."
		echo
		echo "$conflicts" | sed 's/^/- /'
	fi
} | tee "${1:-/dev/null}"
[ -z "$conflicts" ] || exit 3

#!/bin/sh
# Copy folders or files of the project between here and the volume `pipeline` of the cluster:
#   scripts/cluster_files.sh in data/raw models      to the volume
#   scripts/cluster_files.sh out models reports      from it
# kubectl's present context and namespace say where. What has the same name is written over, all else stays.
set -eu
cd "$(dirname "$0")/.."
fail() {
	echo "error: $1" >&2
	exit 2
}
direction=${1:-}
[ $# -ge 2 ] || fail "say in or out, then folders of data, models, reports or logs, as in: $0 out models"
shift
case $direction in
in) for path; do [ -e "$path" ] || fail "$path is not here"; done ;;
out) ;;
*) fail "say in or out, not $direction" ;;
esac

job=files-$(date +%s)
kubectl create job "$job" --from=cronjob/files
trap 'kubectl delete job "$job" --wait=false' EXIT
trap 'exit 1' HUP INT TERM
pod=
for _ in 1 2 3 4 5 6 7 8 9 10; do
	pod=$(kubectl get pod --selector "job-name=$job" --output name)
	[ -z "$pod" ] || break
	sleep 1
done
[ -n "$pod" ] || fail "$job got no pod: kubectl describe job $job"
kubectl wait --for=condition=Ready --timeout=180s "$pod"

# Files alone, since the folders that are mounted may belong to root.
if [ "$direction" = in ]; then
	find "$@" ! -type d -print | tar -chf - -T - | kubectl exec -i "$pod" -- tar -xf - -C /app
else
	# shellcheck disable=SC2016 # the pod's shell is to expand it
	kubectl exec "$pod" -- sh -c 'cd /app && ls -d "$@" > /dev/null && find "$@" ! -type d -print | tar -cf - -T -' sh "$@" | tar -xf -
fi

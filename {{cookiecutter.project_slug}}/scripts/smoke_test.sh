#!/bin/sh
# Start an image of the API and ask it for a prediction, with a key and without one:
#   scripts/smoke_test.sh IMAGE
# SMOKE_HOST is the name of the machine on which Docker runs, where that is another one.
set -eu
fail() {
	echo "error: $1" >&2
	exit 1
}
[ $# -eq 1 ] && [ -n "$1" ] || fail "say which image, as in: scripts/smoke_test.sh IMAGE"
docker=${DOCKER:-docker}
API_KEYS=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export API_KEYS
host=${SMOKE_HOST:-127.0.0.1}
[ "$host" = 127.0.0.1 ] && bind=$host || bind=0.0.0.0
container=$($docker run --detach --read-only --tmpfs /tmp --publish "$bind::8000" --env API_KEYS "$1")
answer=$(mktemp)
trap '$docker logs "$container" >&2 || true; $docker rm --force "$container" > /dev/null; rm -f "$answer"' EXIT
address=http://$host:$($docker port "$container" 8000 | sed -n '1s/.*://p')
ask() {
	curl --silent --max-time 30 --output "$answer" --write-out '%{http_code}' "$@" || true
}
for _ in $(seq 60); do
	[ "$(ask "$address/health/ready")" != 200 ] || break
	sleep 1
done
example=$($docker exec "$container" python /app/start.py example)
status=$(ask "$address/predict" --header "Content-Type: application/json" --data "$example")
[ "$status" = 401 ] || fail "without a key, /predict answers $status, not 401"
status=$(ask "$address/predict" --header "X-API-Key: $API_KEYS" --header "Content-Type: application/json" --data "$example")
[ "$status" = 200 ] || fail "with a key, /predict answers $status, not 200: $(cat "$answer")"
grep -q '"predictions"' "$answer" || fail "the answer has no predictions: $(cat "$answer")"
cat "$answer"
echo

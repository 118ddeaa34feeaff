# Runs the program of another architecture in an emulator.
#
#   foreign.sh EMULATOR PROGRAM DIRECTORY
set -euo pipefail
imagefs() { "$emulator" "$program" "$@"; }
emulator=$1 program=$2
cd "$3"
mkdir service images

# A command prints into FILE: wait until it has said PATTERN, 30 s at most.
said() { # PATTERN FILE
  for _ in $(seq 300); do
    ! grep -o "$1" "$2" | head -n 1 | grep . || return 0
    sleep 0.1
  done
  cat "$2"
  return 1
}

imagefs version
imagefs help >/dev/null
"$emulator" "$program" serve --dir service --listen 127.0.0.1:0 >serve.log 2>&1 &
server=$!
url=$(said 'http://127\.0\.0\.1:[0-9]*' serve.log)
"$emulator" "$program" mount --foreground --endpoint "$url" --cache-dir cache --staging-dir staging images >mount.log 2>&1 &
mount=$!
said 'msg=mounted' mount.log >/dev/null

# 5 MiB are several blocks; the second time, it is what the cache has on disk.
head -c 5M /dev/urandom >written
cp written images/first.raw
cmp written images/first.raw
imagefs cache drop --all images
cmp written images/first.raw
cmp written images/first.raw
imagefs ls --endpoint "$url" | grep -q first.raw
imagefs status images | grep -q "$url"
imagefs unmount images
wait $mount
kill $server
wait $server || true
echo "all well"

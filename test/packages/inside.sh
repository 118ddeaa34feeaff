# Runs in a clean Debian, as a person who has nothing but the deb.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin HOME=/root

apt-get -q update >/dev/null
apt-get -q install -y --no-install-recommends /imagefs.deb >/dev/null

imagefs version
mkdir /images /mnt/images
imagefs serve --dir /images --listen 127.0.0.1:0 >/serve.log 2>&1 &
server=$!
for _ in $(seq 300); do # 30 s
  url=$(grep -o 'http://127\.0\.0\.1:[0-9]*' /serve.log | head -n 1) || true
  [ -z "$url" ] || break
  sleep 0.1
done

mount -t imagefs "$url" /mnt/images -o list_ttl=1m,new_tag=packaged
echo hello >/mnt/images/first.img
[ "$(cat /mnt/images/first.img)" = hello ]
[ "$(imagefs ls --json /mnt/images | grep -c '"packaged"')" = 1 ]
imagefs status /mnt/images | grep -q "$url"
imagefs unmount /mnt/images
kill $server
wait $server || true

gzip -t /usr/share/man/man1/imagefs-mount.1.gz
bash -n /usr/share/bash-completion/completions/imagefs
grep -q '^ExecStart=/usr/bin/imagefs ' /usr/lib/systemd/system/imagefs@.service

apt-get -q purge -y imagefs >/dev/null
left=$(dpkg -L imagefs 2>/dev/null || find / -xdev \( -path /proc -o -path /dev -o -path /var/lib/imagefs -o -path /var/cache/imagefs -o -path /var/log/imagefs -o -path /run/imagefs \) -prune -o -name '*imagefs*' -print)
[ "$left" = /imagefs.deb ] || { echo "left: $left"; exit 1; }
echo "all well"

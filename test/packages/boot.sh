# Runs in a clean Debian: once before it boots, and as a service at its two boots. Its image
# is none of the project demo, of which other tests look at all.
set -euo pipefail

# written says that the image which the first boot has made can be read.
written() { [ "$(cat /srv/imagefs/admin/boot.raw 2>/dev/null)" = hello ]; }

if [ "${1:-}" = install ]; then
  export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin HOME=/root
  apt-get -q install -y --no-install-recommends /imagefs.deb >/dev/null
  install -D -m 600 /clouds.yaml /etc/openstack/clouds.yaml
  cat >/etc/systemd/system/boot.service <<END
[Service]
Type=exec
ExecStart=bash /boot.sh
ExecStopPost=systemctl poweroff
StandardOutput=append:/boot.log
StandardError=append:/boot.log
[Install]
WantedBy=multi-user.target
END
  systemctl enable boot.service
elif [ ! -e /booted ]; then
  touch /booted
  systemctl enable --now imagefs@admin
  echo hello >/srv/imagefs/admin/boot.raw
  written
  echo "first boot: all well"
else
  for _ in $(seq 300); do # 30 s
    ! written || break
    sleep 0.1
  done
  written
  rm /srv/imagefs/admin/boot.raw
  echo "second boot: all well"
fi

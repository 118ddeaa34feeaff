# What every section begins with, in a mount namespace of its own: nothing of the machine
# is seen or changed where readers keep things. PLAIN_… are the services without Keystone.
set -euo pipefail
mounts() { awk '$3 == "fuse.imagefs" { print $2 }' /proc/self/mounts; }
# The machine's own mounts leave this namespace: --force would end them everywhere, and a
# copy that stays would keep their daemons from ending.
mounts | while read -r mount; do umount --lazy "$(printf '%b' "$mount")"; done
finish() {
  cd /
  mounts | while read -r mount; do
    imagefs unmount --force "$mount" || true # the test has its result
  done
}
trap finish EXIT
trap 'exit 143' TERM
for dir in /mnt /srv /home /run; do mount -t tmpfs tmpfs "$dir"; done
mkdir "$WORLD/layers" # an overlay cannot be a layer of another, and the machine may be one
mount -t tmpfs tmpfs "$WORLD/layers"
mkdir "$WORLD/layers/upper" "$WORLD/layers/work"
mount -t overlay -o "lowerdir=/var,upperdir=$WORLD/layers/upper,workdir=$WORLD/layers/work" overlay /var
mkdir -p /var/cache/imagefs /var/lib/imagefs /var/log/imagefs /var/backups
for dir in /var/cache/imagefs /var/lib/imagefs /var/log/imagefs; do mount -t tmpfs -o mode=700 tmpfs "$dir"; done
export HOME=/home/me
mkdir "$WORLD/backups"
mount --bind "$WORLD/backups" /var/backups # extended attributes are kept there
mkdir -p "$HOME/.config/openstack" /mnt/images
cp "$WORLD/clouds.yaml" "$HOME/.config/openstack/"
cd "$HOME"

# openstack asks the service without Keystone, which this one does not talk to.
openstack() { env OS_AUTH_TYPE=none OS_ENDPOINT="$PLAIN_MYCLOUD" openstack "$@"; }

# upload SERVICE NAME FORMAT FILE makes an image as another program does.
upload() {
  local id
  id=$(curl -sSf -H 'Content-Type: application/json' -d "{\"name\": \"$2\", \"disk_format\": \"$3\", \"container_format\": \"bare\"}" "$1/v2/images" | jq -r .id)
  curl -sSf -T "$4" -H 'Content-Type: application/octet-stream' "$1/v2/images/$id/file"
}

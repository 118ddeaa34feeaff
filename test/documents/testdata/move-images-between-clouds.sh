mkdir made
head -c 3M /dev/urandom > made/disk
qemu-img convert -O qcow2 made/disk debian-13.qcow2
xorriso -as mkisofs -quiet -o rescue.iso made
for name in debian-13.qcow2 rescue.iso; do
  upload "$PLAIN_MYCLOUD" "$name" "${name##*.}" "$name"
done
imagefs mount --cloud mycloud /mnt/images
setfattr -n user.image.tags -v gold /mnt/images/debian-13.qcow2
imagefs unmount /mnt/images

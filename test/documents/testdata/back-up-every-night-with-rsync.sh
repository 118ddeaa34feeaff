imagefs mount --cloud mycloud /mnt/images
for name in debian-13.qcow2 rescue.iso golden.raw; do
  head -c 1M /dev/urandom > "/mnt/images/$name"
done
setfattr -n user.image.property.os_distro -v debian /mnt/images/rescue.iso
imagefs unmount /mnt/images
mkdir -p /var/backups/images /var/backups/gone
head -c 2M /dev/urandom > new.qcow2

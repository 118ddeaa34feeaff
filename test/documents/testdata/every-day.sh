mkdir /mnt/other-cloud made images
imagefs mount --cloud mycloud --trash 7d /mnt/images
imagefs mount --cloud othercloud /mnt/other-cloud
truncate -s 2G made/disk
head -c 20M /dev/urandom | dd of=made/disk bs=1M conv=notrunc status=none
qemu-img convert -O qcow2 made/disk made/debian-13.qcow2
head -c 3M made/disk > made/small
truncate -s 2G made/small
qemu-img convert -O qcow2 made/small made/ubuntu-24.04.qcow2
mkdir made/tree
cp made/ubuntu-24.04.qcow2 made/tree
xorriso -as mkisofs -quiet -o made/rescue.iso made/tree
cp made/debian-13.qcow2 made/rescue.iso made/ubuntu-24.04.qcow2 /mnt/images
# A second one of the name, as another program makes it.
upload "$PLAIN_MYCLOUD" ubuntu-24.04.qcow2 qcow2 made/ubuntu-24.04.qcow2
rm -r made/disk made/small
head -c 5M /dev/urandom > db-backup.raw
gzip --keep db-backup.raw

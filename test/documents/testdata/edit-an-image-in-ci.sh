mkdir -p tree/etc
echo 'build 41' > tree/etc/motd
truncate -s 32M golden.raw
echo 'start=2048, type=linux' | sfdisk --quiet --label gpt golden.raw
mkfs.ext4 -q -E offset=$((2048 * 512)) -d tree golden.raw 28M
upload "$PLAIN_MYCLOUD" golden.raw raw golden.raw
rm -r golden.raw tree

# GRUB is what boots, and what it reads is a file of its disk.
mkdir -p made/boot/grub
head -c 2M /dev/urandom > made/payload
cat > made/boot/grub/grub.cfg <<'END'
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
sha512sum /payload
halt
END
grub-mkrescue -d /usr/lib/grub/i386-pc --fonts= --locales= --themes= -o boot.iso made 2>log || { cat log; exit 1; }
head -c 30M /dev/urandom >> boot.iso # of which the boot needs nothing
qemu-img convert -f raw -O qcow2 boot.iso boot.qcow2
upload "$PLAIN_MYCLOUD" debian-13.qcow2 qcow2 boot.qcow2

// Package packages tests what make dist builds: that two builds are equal, and that who has
// nothing but the deb can install it, mount, and remove it. It has no code of its own.
package packages

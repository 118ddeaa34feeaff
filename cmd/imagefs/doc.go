// Command imagefs mounts an OpenStack Image service as a directory.
//
// One file holds one command; main.go only turns an error into an exit code.
// mount.go is the parent's side of a mount and daemon.go the child's;
// rooms.go wires the rooms together; life.go is the life of a mount from its
// first request to its last commit.
//
// Goroutines: the status socket's server ends with Close; the signal watcher of
// a mount ends with the mount. Sizes are bytes.
package main

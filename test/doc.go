// Package test holds the end-to-end tests: the real binary on a real mount, driven
// by the tools that people use, over the embedded Image API server and over a real
// Keystone and Glance. `make test` brings the latter up (openstack/up) and tells
// the tests by IMAGEFS_TEST_CLOUDS where its clouds.yaml is.
package test

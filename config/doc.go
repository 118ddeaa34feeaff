// Package config is what imagefs was told: one typed Config, resolved from
// defaults, an optional YAML file, IMAGEFS_* variables and flags, the later
// winning over the earlier. One table (options.go) names every option, so that a
// flag, its key in the file and its variable cannot differ.
//
// It starts no goroutine and takes no lock; it reads the configuration file and
// nothing else. Sizes are bytes.
package config

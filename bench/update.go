package main

import "errors"

func update(string, []result) error { return errors.New("not yet") }

//go:build !linux

package conformance

import "errors"

type serveTask struct{}

func serve(*serveTask) error { return errors.New("only Linux serves FUSE here") }

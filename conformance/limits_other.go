//go:build !linux

package conformance

import "errors"

func (*limits) set() error { return errors.New("only on Linux") }

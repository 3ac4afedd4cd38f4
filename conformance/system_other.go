//go:build !linux

package conformance

import "errors"

func mountSmall(string, int64) error { return errors.ErrUnsupported }

func unmount(string) error { return errors.ErrUnsupported }

func limitFileSize(int64) (undo func() error, err error) { return nil, errors.ErrUnsupported }

func openDescriptors() (int, error) { return 0, errors.ErrUnsupported }

func virtualSize() (int64, error) { return 0, errors.ErrUnsupported }

func mappings() (n int, readable int64, err error) { return 0, 0, errors.ErrUnsupported }

func reservesAtOnce(string) error { return errors.ErrUnsupported }

func reserved(string, int64) error { return errors.ErrUnsupported }

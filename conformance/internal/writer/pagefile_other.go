//go:build !linux

package writer

import "os"

// newFile makes a file that has a name.
func newFile() (f *os.File, path string, err error) {
	f, err = os.CreateTemp("", "chronik-acks-")
	if err != nil {
		return nil, "", err
	}
	return f, f.Name(), nil
}

func removeFile(path string) error { return os.Remove(path) }

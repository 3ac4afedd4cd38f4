package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	wal "github.com/chronik-go/wal/core"
)

// What a key file holds, for errors.
const (
	digitsHint = "it has to hold a key of 64 hexadecimal digits a line"
	ageHint    = "it has to hold age identities"
)

// mostText bounds a key file, bytes: a device, say, has no end.
const mostText = 1 << 20

// Read reads a file of either kind: keys in hexadecimal digits, or age identities. It reads it once, so
// it may be a pipe. The error wraps wal.ErrKey, names the file and what is expected, and holds
// nothing of what is in it.
func Read(path string) (wal.KeyProvider, error) {
	text, err := readText(path, digitsHint+", or age identities")
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if bytes.Contains(text, []byte("AGE-SECRET-KEY-")) {
		return parseAge(path, text)
	}
	return parseFile(path, text)
}

// readText reads a key file. The hint says what it should hold.
func readText(path, hint string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, causeOf(err), hint)
	}
	defer f.Close()
	buffer := make([]byte, mostText+1) // one buffer, so that no copy of a key is left behind
	n, err := io.ReadFull(f, buffer)
	switch {
	case err == nil:
		err = fmt.Errorf("it has more than %d bytes", mostText)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return buffer[:n], nil
	}
	clear(buffer)
	return nil, fileError(path, causeOf(err), hint)
}

func fileError(path string, err error, hint string) error {
	return fmt.Errorf("%w: key file %s: %w: %s", wal.ErrKey, path, err, hint)
}

// causeOf leaves the file's name to fileError.
func causeOf(err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}

// Exposed returns an error that says how others than its owner may read a key file, or change it; nil
// if they may not, or the file cannot be looked at. Read and its like do not refuse such a file, since who mounts secrets
// cannot always choose: it is for the application to warn. Systems without Unix permissions
// have nothing to tell.
func Exposed(path string) error {
	mode := fs.ModeIrregular
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode()
	}
	if !mode.IsRegular() || runtime.GOOS == "windows" || mode.Perm()&0o077 == 0 {
		return nil
	}
	return fmt.Errorf("key file %s has mode %04o: others than its owner may get at the key: chmod 600 %s", path, mode.Perm(), path)
}

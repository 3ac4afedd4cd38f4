package crashdemo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sourceDir is where the input comes from if no flag names a directory: text that every
// machine with Go has.
func sourceDir() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("no Go installation to take text from (%w): name a directory with -source", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src"), nil
}

// errEnough ends a walk.
var errEnough = errors.New("enough lines")

// readLines returns up to count lines of the text files below dir, in the order of
// their names. A file with a NUL is not text.
func readLines(dir string, count int) ([][]byte, error) {
	var lines [][]byte
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text, 0) >= 0 || len(text) == 0 {
			return nil
		}
		lines = append(lines, bytes.Split(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'})...)
		if len(lines) >= count {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s holds no text", dir)
	}
	return lines[:min(len(lines), count)], nil
}

// share returns the lines of one partition: every n-th.
func share(lines [][]byte, partition, n int) [][]byte {
	var own [][]byte
	for i := partition; i < len(lines); i += n {
		own = append(own, lines[i])
	}
	return own
}

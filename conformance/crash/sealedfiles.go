package crash

import (
	"bytes"
	"errors"
	"maps"
	"strings"
)

// Files are those of a log's directory, by their names, with no log open.
type Files interface {
	Names() ([]string, error)
	Read(name string) ([]byte, error)
	// Write makes a file, or makes it another one.
	Write(name string, content []byte) error
	Remove(name string) error
}

// firstSegment is the name of a log's first segment.
const firstSegment = "00000000000000000001.wal"

// snapshot returns the log's files.
func (s *sealedLog) snapshot() (map[string][]byte, error) {
	names, err := s.files.Names()
	if err != nil {
		return nil, err
	}
	list := map[string][]byte{}
	for _, name := range names {
		if list[name], err = s.files.Read(name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// restore makes the log's files those of a snapshot.
func (s *sealedLog) restore(want map[string][]byte) error {
	now, err := s.snapshot()
	if err != nil {
		return err
	}
	for name := range now {
		if _, ok := want[name]; !ok {
			err = errors.Join(err, s.files.Remove(name))
		}
	}
	for name, b := range want {
		if old, ok := now[name]; !ok || !bytes.Equal(old, b) {
			err = errors.Join(err, s.files.Write(name, b))
		}
	}
	return err
}

// unchanged demands that the log's files are those of a snapshot.
func (s *sealedLog) unchanged(want map[string][]byte, after string) error {
	now, err := s.snapshot()
	if err == nil && !maps.EqualFunc(now, want, bytes.Equal) {
		err = violation(Sealed, "%s changed the log's files", after)
	}
	return err
}

func isSegment(name string) bool { return strings.HasSuffix(name, ".wal") }

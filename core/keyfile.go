package wal

import (
	"errors"
	"fmt"
	"io"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// A data key stands in the header of each segment that it is for, and again in the first
// declaration there. Damage may take both: they are neighbours. So it has a file of its own too,
// which is durable before the first of these segments gets its name. Only who mends a log reads it.

const keySuffix = ".key"

func keyFileName(id format.KeyID) string { return fmt.Sprintf("%x%s", id, keySuffix) }

// fileKey writes the file of the key that is in use, once, and removes those that no segment needs
// any more.
func (c *committer) fileKey() error {
	s := c.s.sealer
	if s == nil || s.filed {
		return nil
	}
	name := keyFileName(s.key.ID)
	if err := writeSmallFile(c.s.dir, name, format.AppendKeyFile(nil, s.key)); err != nil {
		return fmt.Errorf("write %s: %w", c.s.path(name), err)
	}
	s.filed = true
	return c.s.dropKeyFiles()
}

// dropKeyFiles removes the files of keys that no segment has.
func (s *shard) dropKeyFiles() error {
	names, err := s.dir.List()
	if err != nil {
		return fmt.Errorf("list the log's files: %w", err)
	}
	needed := map[string]bool{keyFileName(s.sealer.key.ID): true}
	for _, g := range s.segments.all() {
		if g.Key != nil {
			needed[keyFileName(g.Key.ID)] = true
		}
	}
	for _, name := range names {
		id, ok := parseKeyFileName(name)
		if ok && !needed[name] && s.filedKey(id) != nil { // nothing else may go, a file of the user's own say
			if err := s.dir.Remove(name); err != nil {
				return fmt.Errorf("remove %s: %w", s.path(name), err)
			}
		}
	}
	return nil
}

// filedKey returns the key of an id out of its file, nil if that is not there or not sound.
func (s *shard) filedKey(id format.KeyID) *format.Key {
	f, err := s.dir.Open(keyFileName(id))
	if err != nil {
		return nil
	}
	defer f.Close()
	k, err := readKeyFile(f)
	if err != nil || k.ID != id {
		return nil
	}
	return k
}

func readKeyFile(f backend.File) (*format.Key, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(size, format.MaxKeyFile))
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return format.ReadKeyFile(b)
}

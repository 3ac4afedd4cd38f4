package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// A dictionary that is lost takes with it all that was compressed with it. So it does not stand in a
// segment, which damage, retention and recycling are about, but in files of its own: two that are
// alike, durable before the first batch that needs them, and kept as long as the log.

const dictionarySuffix = ".dict"

// dictionaryFileNames are those of the two copies of a dictionary.
func dictionaryFileNames(id uint32) [2]string {
	return [2]string{fmt.Sprintf("%08x-1%s", id, dictionarySuffix), fmt.Sprintf("%08x-2%s", id, dictionarySuffix)}
}

// parseDictionaryName reads the name of a dictionary's file.
func parseDictionaryName(name string) (id uint32, ok bool) {
	n, err := strconv.ParseUint(name[:min(8, len(name))], 16, 32)
	id = uint32(n)
	return id, err == nil && id > 0 && slices.Contains(slices.Collect(copies(id)), name)
}

func copies(id uint32) func(func(string) bool) {
	names := dictionaryFileNames(id)
	return slices.Values(names[:])
}

// errDictionaryGone is why a copy of a dictionary cannot be read: there is none.
var errDictionaryGone = errors.New("it is missing")

// copiesLost reports whether all that is wrong with the copies of a dictionary is that they are missing or
// not sound: not a disk that cannot be read, or a key that is not there.
func copiesLost(err error) bool {
	var all interface{ Unwrap() []error }
	if errors.As(err, &all) && !errors.Is(err, format.ErrVersion) {
		for _, e := range all.Unwrap() {
			if !errors.Is(e, errDictionaryGone) && !errors.Is(e, format.ErrCorrupt) {
				return false
			}
		}
		return true
	}
	return false
}

// loadDictionary reads a copy of a dictionary as it stands in its file. Its error wraps
// errDictionaryGone, format.ErrCorrupt or format.ErrVersion, or says what could not be read.
func (s *shard) loadDictionary(name string) (*format.Dictionary, error) {
	f, err := s.dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", s.path(name), errDictionaryGone)
	}
	if errors.Is(err, backend.ErrNotRegular) {
		return nil, fmt.Errorf("%w: %s: %w", format.ErrCorrupt, s.path(name), err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.path(name), causeOf(err, name))
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("size of %s: %w", s.path(name), err)
	}
	b := make([]byte, min(size, format.MaxDictionaryFile))
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", s.path(name), err)
	}
	d, err := format.ReadDictionary(b[:n])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(name), err)
	}
	if id, _ := parseDictionaryName(name); d.ID != id {
		return nil, fmt.Errorf("%w: %s: it holds dictionary %08x", format.ErrCorrupt, s.path(name), d.ID)
	}
	return d, nil
}

// readDictionary reads a copy of a dictionary, decrypts it if need be, and checks it.
func (s *shard) readDictionary(name string, by DictionaryCodec) (*dictionary, error) {
	f, err := s.loadDictionary(name)
	if err != nil {
		return nil, err
	}
	return s.openDictionary(name, f, by)
}

// openDictionary is readDictionary of a file that was loaded.
func (s *shard) openDictionary(name string, f *format.Dictionary, by DictionaryCodec) (*dictionary, error) {
	d := &dictionary{id: f.ID, number: f.Number, topic: f.Topic, codec: f.Codec &^ format.CodecSealed, raw: f.Data, sealed: f.Key != nil}
	if f.Key != nil {
		var err error
		h := &format.SegmentHeader{Log: f.Key.Log, Key: f.Key}
		if d.raw, err = s.cfg.unseal(nil, &stored{f.Entry(), 0, f.Topic, 0, h, f.Data}); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path(name), err)
		}
	}
	id, err := by.DictionaryID(d.raw)
	if err != nil || id != d.id || by.PrimedID() != d.codec {
		return nil, fmt.Errorf("%w: %s: it does not hold dictionary %08x", format.ErrCorrupt, s.path(name), d.id)
	}
	return d, nil
}

// listDictionaries returns the ids of the dictionaries that have files in the log, and the names of those
// that are just being written.
func (s *shard) listDictionaries() (ids []uint32, coming []string, err error) {
	names, err := s.dir.List()
	if err != nil {
		return nil, nil, fmt.Errorf("list the log's files: %w", err)
	}
	for _, name := range names {
		if id, ok := parseDictionaryName(name); ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if final, ok := strings.CutSuffix(name, tempSuffix); ok {
			coming = append(coming, final)
		}
	}
	slices.Sort(ids)
	return ids, coming, nil
}

// fileDictionary writes both copies of a dictionary and makes them durable. The committer's, with
// nothing in flight.
func (s *shard) fileDictionary(d *dictionary) error {
	f := &format.Dictionary{Codec: d.codec, ID: d.id, Number: d.number, Topic: d.topic, RawLength: len(d.raw), Data: d.raw}
	if s.sealer != nil {
		f.Codec |= format.CodecSealed
		f.Key, f.Data = s.sealer.key, make([]byte, len(d.raw)+format.SealOverhead)
		copy(inside(f.Data), d.raw)
		e := f.Entry()
		s.sealer.seal(f.Data, &e, 0, &Partition{topic: d.topic})
	}
	b := format.AppendDictionary(nil, f)
	// The names come last, so that who looks while they do sees that the second is coming.
	var ready []*fileWriter
	for name := range copies(d.id) {
		w, err := newFileWriter(s.dir, name+tempSuffix, int(format.AlignUp(int64(len(b)), format.MaxAlignment)))
		if err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", s.path(name), err), abandonAll(ready))
		}
		ready = append(ready, w)
		if err = w.put(b); err == nil {
			err = w.finish()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", s.path(name), err), abandonAll(ready))
		}
	}
	for i, name := range dictionaryFileNames(d.id) {
		if err := ready[i].publish(name); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", s.path(name), err), abandonAll(ready))
		}
	}
	if err := s.dir.Sync(); err != nil {
		return fmt.Errorf("sync the log's directory: %w", err)
	}
	return nil
}

func abandonAll(list []*fileWriter) error {
	var errs []error
	for _, w := range list {
		errs = append(errs, w.abandon())
	}
	return errors.Join(errs...)
}

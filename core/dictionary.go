package wal

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/chronik-go/wal/core/format"
)

// DictionaryCodec is a Codec that compresses better with a dictionary of what its data has in common:
// codec.Zstd is one. Batches that it compresses with one have a codec id of their own, and name the dictionary.
//
// Values of it can be compared with ==. Its methods may be called concurrently.
type DictionaryCodec interface {
	Codec
	// PrimedID is the codec id of batches that were compressed with a dictionary.
	PrimedID() uint8
	// DictionaryID checks a dictionary and returns its id, never 0: what batches name it by. It is made
	// out of all that the dictionary holds, so that no other one passes for it.
	DictionaryID(dictionary []byte) (uint32, error)
	// DictionaryOf returns the id of the dictionary that data was compressed with. data may be anything.
	DictionaryOf(data []byte) (uint32, error)
	// Prime returns the codec with a dictionary, which it keeps. Its ID is PrimedID, and it
	// decompresses what was compressed with that dictionary at any level.
	Prime(dictionary []byte) (Codec, error)
}

// DictionaryError is the error for a batch whose dictionary is not there, or not sound. The batch
// itself is, and can be read again once a sound copy of the dictionary's file is put back. It wraps
// ErrDictionary and ErrDamaged.
type DictionaryError struct {
	// Offset is that of the batch's first record, Next that of the first one behind it.
	Offset, Next int64
	// Topic and Partition are the batch's.
	Topic     string
	Partition int32
	// Dictionary is the id of the dictionary, File the name of its file's first copy, relative to the
	// data directory.
	Dictionary uint32
	File       string
	// Cause is what is wrong with its copies.
	Cause error
}

func (e *DictionaryError) Error() string {
	return fmt.Sprintf("%v: %s/%d: records at offsets %d to %d need dictionary %08x, and no copy of it is sound (%v): put %s back, from a backup say",
		ErrDictionary, e.Topic, e.Partition, e.Offset, e.Next-1, e.Dictionary, e.Cause, e.File)
}

func (e *DictionaryError) Unwrap() []error { return []error{ErrDictionary, ErrDamaged} }

// dictionary is one that was read or set.
type dictionary struct {
	id     uint32
	number uint64
	topic  string
	codec  uint8 // of the batches compressed with it
	raw    []byte
	sealed bool // its file is encrypted
	whole  bool // both copies of its file were sound when the log was opened

	mu     sync.Mutex
	primed atomic.Pointer[[]primed]
}

// primed is a codec, and what it is with the dictionary.
type primed struct{ plain, with Codec }

// prime returns a codec with the dictionary, or as it is if it is not one that the dictionary is for.
func (d *dictionary) prime(c Codec) Codec {
	dc, ok := c.(DictionaryCodec)
	if !ok || dc.PrimedID() != d.codec {
		return c
	}
	if with := d.find(c); with != nil {
		return with
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if with := d.find(c); with != nil {
		return with
	}
	with, err := dc.Prime(d.raw)
	if err != nil {
		return c // it was checked when it was set or read
	}
	list := append(slices.Clone(d.all()), primed{c, with})
	d.primed.Store(&list)
	return with
}

func (d *dictionary) all() []primed {
	if list := d.primed.Load(); list != nil {
		return *list
	}
	return nil
}

func (d *dictionary) find(c Codec) Codec {
	for _, p := range d.all() {
		if p.plain == c {
			return p.with
		}
	}
	return nil
}

// dictionaries are those that were read, of all logs of a Manager: their ids are made of what they hold,
// so a copy in any of them will do.
type dictionaries struct {
	mu    sync.RWMutex
	logs  []*shard
	known map[uint32]*dictionary
}

func (ds *dictionaries) join(s *shard) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.logs = append(ds.logs, s)
}

func (ds *dictionaries) leave(s *shard) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.logs = slices.DeleteFunc(ds.logs, func(o *shard) bool { return o == s })
}

// get returns a dictionary that was read already, nil if it was not, or is not sealed and has to be.
func (ds *dictionaries) get(id uint32, sealed bool) *dictionary {
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	if d := ds.known[id]; d != nil && (d.sealed || !sealed) {
		return d
	}
	return nil
}

func (ds *dictionaries) add(d *dictionary) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.known == nil {
		ds.known = map[uint32]*dictionary{}
	}
	ds.known[d.id] = d
}

// dictionaryFor finds the dictionary of an id. An encrypted batch needs one that is encrypted: who can write
// to the disk could else change what the batch says.
func (c *config) dictionaryFor(id uint32, by DictionaryCodec, sealed bool) (*dictionary, error) {
	if d := c.dictionaries.get(id, sealed); d != nil {
		return d, nil
	}
	c.dictionaries.mu.RLock()
	logs := slices.Clone(c.dictionaries.logs)
	c.dictionaries.mu.RUnlock()
	var errs []error
	for _, s := range logs {
		for _, name := range dictionaryFileNames(id) {
			d, err := s.readDictionary(name, by)
			if err == nil && sealed && !d.sealed {
				err = fmt.Errorf("%w: %s, and the batch is", ErrNotEncrypted, s.path(name))
			}
			if err == nil {
				c.dictionaries.add(d)
				return d, nil
			}
			errs = append(errs, err)
		}
	}
	return nil, errors.Join(errs...)
}

// primerFor returns the codec that reads batches of an id that dictionaries have, nil if there is none.
func (c *config) primerFor(id uint8) DictionaryCodec {
	return c.findPrimer(func(dc DictionaryCodec) bool { return dc.PrimedID() == id })
}

// findPrimer returns the first codec with dictionaries that is good for something: of those that were
// passed by option, then of those registered.
func (c *config) findPrimer(good func(DictionaryCodec) bool) DictionaryCodec {
	if dc, ok := c.codec.(DictionaryCodec); ok && good(dc) {
		return dc
	}
	for _, codec := range c.topicCodecs {
		if dc, ok := codec.(DictionaryCodec); ok && good(dc) {
			return dc
		}
	}
	codecsMu.RLock()
	defer codecsMu.RUnlock()
	for _, codec := range codecs {
		if dc, ok := codec.(DictionaryCodec); ok && good(dc) {
			return dc
		}
	}
	return nil
}

// primedFor returns the codec of a batch that was compressed with a dictionary. Its error is a
// *DictionaryError, or wraps ErrKey, ErrNotEncrypted, format.ErrCorrupt or what went wrong with reading.
func (c *config) primedFor(b *stored, by DictionaryCodec, data []byte) (Codec, error) {
	dict, err := by.DictionaryOf(data)
	if err != nil {
		return nil, fmt.Errorf("%w: batch at offset %d: %w", format.ErrCorrupt, b.Base, err)
	}
	d, err := c.dictionaryFor(dict, by, b.Codec&format.CodecSealed != 0)
	switch {
	case err == nil:
		return d.prime(by), nil
	case copiesLost(err):
		return nil, &DictionaryError{
			Offset: b.Base, Next: b.End(), Topic: b.topic, Partition: b.partition, Dictionary: dict,
			File: dictionaryFileNames(dict)[0], Cause: err,
		}
	}
	return nil, fmt.Errorf("batch at offset %d: dictionary %08x: %w", b.Base, dict, err)
}

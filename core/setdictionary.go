package wal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/chronik-go/wal/core/format"
)

const (
	// MaxDictionary is the longest dictionary, bytes.
	MaxDictionary = format.MaxDictionary
	// MaxDictionaries bounds how many a log has, of all topics together: each is kept as long as the log.
	MaxDictionaries = 256
)

// DictionaryInfo tells of a dictionary in a log.
type DictionaryInfo struct {
	// ID is what batches name it by. In JSON it is a number.
	ID uint32 `json:"id"`
	// Topic is the topic that it is of, Number which of that topic's, from 1. InUse: the highest.
	Topic  string `json:"topic"`
	Number uint64 `json:"number"`
	InUse  bool   `json:"in_use"`
	// Bytes is its length, Sealed whether it stands in the log encrypted.
	Bytes  int  `json:"bytes"`
	Sealed bool `json:"sealed"`
}

// SetDictionary has appends to a topic compressed with a dictionary from now on, in all partitions, where
// they are compressed by a codec that the dictionary is for (codec.Zstd), and in later opens too. It is
// stored in the log, twice, encrypted if the log is, and durable when SetDictionary returns. Batches
// that were compressed with an earlier one, or without, stay as they are and readable. To have none used
// again, append with another codec.
//
// A dictionary has at most MaxDictionary bytes; see codec.Train. Appends of others wait while it is
// written. It may be called concurrently. Errors wrap ErrInvalid (topic, no such dictionary, it is another topic's, a log has
// MaxDictionaries), ErrReadOnly, ErrClosed, ErrNoSpace or ctx.Err(), or say what could not be written; then it is not
// used, but may be from the next open on.
func (m *Manager) SetDictionary(ctx context.Context, topic string, data []byte) (DictionaryInfo, error) {
	if err := CheckPartition(topic, 0); err != nil {
		return DictionaryInfo{}, err
	}
	if m.cfg.readOnly {
		return DictionaryInfo{}, fmt.Errorf("%w: set a dictionary", ErrReadOnly)
	}
	d, err := m.cfg.newDictionary(topic, data)
	if err != nil {
		return DictionaryInfo{}, err
	}
	m.settingDictionary.Lock()
	defer m.settingDictionary.Unlock()
	if err := m.usable(ctx); err != nil {
		return DictionaryInfo{}, err
	}
	shards := m.logsOf(topic)
	for _, s := range m.allShards() {
		if err := s.admit(d); err != nil {
			return DictionaryInfo{}, err
		}
	}
	for _, s := range shards {
		d.sealed = s.sealer != nil
		if err := s.writeDictionary(d); err != nil {
			if isNoSpace(err) {
				err = noSpace(err)
			}
			return DictionaryInfo{}, fmt.Errorf("dictionary of %s: %w", topic, err)
		}
	}
	m.cfg.dictionaries.add(d)
	m.useDictionary(d, shards)
	return d.info(true), nil
}

// usable tells why nothing can be set, nil if it can.
func (m *Manager) usable(ctx context.Context) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// writeDictionary writes a dictionary while nothing is in flight. It is not left before it is done:
// a later one gets a higher number.
func (s *shard) writeDictionary(d *dictionary) error {
	return s.do(context.Background(), func() error { return s.fileDictionary(d) })
}

func (d *dictionary) info(inUse bool) DictionaryInfo {
	return DictionaryInfo{ID: d.id, Topic: d.topic, Number: d.number, InUse: inUse, Bytes: len(d.raw), Sealed: d.sealed}
}

// newDictionary checks what is to be a topic's dictionary.
func (c *config) newDictionary(topic string, data []byte) (*dictionary, error) {
	if len(data) > MaxDictionary {
		return nil, fmt.Errorf("%w dictionary of %d bytes (the limit is %d)", ErrInvalid, len(data), MaxDictionary)
	}
	d := &dictionary{topic: topic, raw: bytes.Clone(data), number: 1}
	by := c.findPrimer(func(dc DictionaryCodec) bool {
		id, err := dc.DictionaryID(data)
		d.id = id
		return err == nil && id != 0
	})
	if by == nil {
		return nil, fmt.Errorf(`%w dictionary of %d bytes: none that a codec of this program knows; make it with codec.Train`, ErrInvalid, len(data))
	}
	d.codec = by.PrimedID()
	if _, err := by.Prime(d.raw); err != nil {
		return nil, fmt.Errorf("%w dictionary: %w", ErrInvalid, err)
	}
	return d, nil
}

// admit gives a dictionary a number above those in a log, and tells whether the log can take it.
func (s *shard) admit(d *dictionary) error {
	ids, _, err := s.listDictionaries()
	if err != nil {
		return err
	}
	if len(ids) >= MaxDictionaries && !slices.Contains(ids, d.id) {
		return fmt.Errorf("%w: the log has %d dictionaries, as many as it can", ErrInvalid, len(ids))
	}
	for _, id := range ids {
		for name := range copies(id) {
			f, err := s.loadDictionary(name)
			if err != nil {
				continue
			}
			if f.Topic == d.topic {
				d.number = max(d.number, f.Number+1)
			} else if id == d.id {
				return fmt.Errorf("%w: dictionary %08x is that of topic %s", ErrInvalid, id, f.Topic)
			}
		}
	}
	return nil
}

// logsOf returns the logs that have partitions of a topic, or could get some.
func (m *Manager) logsOf(topic string) []*shard {
	m.mu.RLock()
	defer m.mu.RUnlock()
	has := map[*shard]bool{}
	for key, p := range m.partitions {
		has[p.shard] = has[p.shard] || key.topic == topic
	}
	return slices.DeleteFunc(slices.Clone(m.shards), func(s *shard) bool {
		return s.kind() == format.MemberDedicated && !has[s]
	})
}

// useDictionary has a topic's partitions use a dictionary that these logs have.
func (m *Manager) useDictionary(d *dictionary, logs []*shard) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inUse == nil {
		m.inUse = map[string]*dictionary{}
	}
	m.inUse[d.topic] = d
	for _, s := range logs {
		if s.filed == nil {
			s.filed = map[string]*dictionary{}
		}
		s.filed[d.topic] = d
	}
	for _, p := range m.partitions {
		if p.topic == d.topic {
			p.dictionary.Store(p.shard.filed[d.topic])
		}
	}
}

// startDictionaries finds out, in a log that is open for writing, which dictionaries are in use, and brings
// the logs that lack one up to it: new ones, those that a crash kept from it, and those that became encrypted
// since. It makes all whole of which a copy is missing or bad. What does not work out is logged: appends go without then.
func (m *Manager) startDictionaries() {
	newest := map[string]*dictionary{}
	have := map[*shard]map[string]*dictionary{}
	for _, s := range m.shards {
		list, torn, err := s.newestDictionaries()
		for _, d := range torn {
			d.whole = m.bringDictionary(s, d)
		}
		if err != nil {
			m.cfg.logger.Warn("cannot use dictionaries", "log", s.home, "error", err)
		}
		have[s] = list
		for topic, d := range list {
			if n := newest[topic]; n == nil || n.number < d.number {
				newest[topic] = d
			}
		}
	}
	for topic, d := range newest {
		m.cfg.dictionaries.add(d)
		var logs []*shard
		for _, s := range m.logsOf(topic) {
			h := have[s][topic]
			if h != nil && h.id == d.id && h.sealed == (s.sealer != nil) || m.bringDictionary(s, d) {
				logs = append(logs, s)
			}
		}
		m.useDictionary(d, logs)
	}
}

// bringDictionary writes a dictionary to a log that is to have it.
func (m *Manager) bringDictionary(s *shard, d *dictionary) bool {
	err := s.writeDictionary(d)
	if err != nil {
		m.cfg.logger.Warn("cannot write a dictionary: appends go without", "log", s.home, "topic", d.topic, "error", err)
		return false
	}
	if d.sealed != (s.sealer != nil) { // only while the log is opened: later readers look at it
		d.sealed = s.sealer != nil
	}
	return true
}

// newestDictionaries reads the dictionary in use of each topic, and all of which not both copies are sound.
func (s *shard) newestDictionaries() (newest map[string]*dictionary, torn []*dictionary, err error) {
	ids, _, err := s.listDictionaries()
	if err != nil {
		return nil, nil, err
	}
	newest = map[string]*dictionary{}
	var errs []error
	for _, id := range ids {
		d, err := s.soundest(id)
		errs = append(errs, err)
		if d == nil {
			continue
		}
		if !d.whole {
			torn = append(torn, d)
		}
		if n := newest[d.topic]; n == nil || n.number < d.number {
			newest[d.topic] = d
		}
	}
	return newest, torn, errors.Join(errs...)
}

// soundest reads the copy of a dictionary with the highest number, of two with the same the encrypted one; nil if none
// can be read, or no codec for it is there. A crash while they are written anew may leave two that differ.
func (s *shard) soundest(id uint32) (best *dictionary, err error) {
	var errs []error
	sound, equal := 0, false
	for name := range copies(id) {
		f, err := s.loadDictionary(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		by := s.cfg.primerFor(f.Codec &^ format.CodecSealed)
		if by == nil {
			return nil, nil
		}
		d, err := s.openDictionary(name, f, by)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		sound++
		equal = best == nil || best.number == d.number && best.sealed == d.sealed
		if best == nil || d.number > best.number || d.number == best.number && d.sealed {
			best = d
		}
	}
	if best != nil {
		best.whole = sound == 2 && equal
	}
	return best, errors.Join(errs...)
}

// Dictionaries lists the dictionaries of all logs, by topic and number; those only of which a copy
// is sound.
func (m *Manager) Dictionaries() ([]DictionaryInfo, error) {
	found := map[uint32]DictionaryInfo{}
	highest := map[string]uint64{}
	for _, s := range m.allShards() {
		ids, _, err := s.listDictionaries()
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			for name := range copies(id) {
				f, err := s.loadDictionary(name)
				if err != nil || found[id].Number > f.Number {
					continue
				}
				found[id] = DictionaryInfo{ID: id, Topic: f.Topic, Number: f.Number, Bytes: f.RawLength, Sealed: f.Key != nil}
				highest[f.Topic] = max(highest[f.Topic], f.Number)
			}
		}
	}
	list := make([]DictionaryInfo, 0, len(found))
	for _, d := range found {
		d.InUse = d.Number == highest[d.Topic]
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b DictionaryInfo) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
	})
	return list, nil
}

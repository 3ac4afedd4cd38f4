package wal

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// Record is one record of a partition. Its fields:
//
//	Offset    int64      its place in the partition; appends ignore it
//	Timestamp time.Time  to the nanosecond, from 1678 to 2262; the zero time is that of the append
//	Key       []byte     may be nil, which is not the same as empty
//	Value     []byte     likewise
//	Headers   []Header   in their order; keys may repeat
type Record = format.Record

// Header is one name and value that travel with a record. Its fields:
//
//	Key   string
//	Value []byte  may be nil, which is not the same as empty
type Header = format.Header

// Manager is an open data directory: one log or, with shards or the dedicated layout,
// several. All methods may be called concurrently.
type Manager struct {
	cfg  *config
	path string
	root backend.Dir
	// recoveryTime is how long the open took.
	recoveryTime time.Duration

	mu         sync.RWMutex
	shards     []*shard // the shared ones first: their place is their number
	shared     int
	partitions map[partitionKey]*Partition
	dedicated  uint32   // the highest number of a dedicated log
	spare      []*shard // dedicated logs without a partition
	whole      bool     // there is a member file of the main log
	closed     bool
	closing    sync.Once
	// inUse are the dictionaries that appends are compressed with, by topic.
	inUse             map[string]*dictionary
	settingDictionary sync.Mutex
}

type partitionKey struct {
	topic string
	num   int32
}

// Open opens the log in a data directory for writing, creating it if there is none, or with
// WithReadOnly for reading. After a crash it recovers first: what was acknowledged is there,
// in order, and durable.
//
// It reads all that is not sealed. A sealed segment is trusted by its footer, whose checksum is looked at:
// damage in its frames is found by who reads them, as ErrDamaged, and by Verify, which reads everything.
//
// It returns, wrapped, ErrInvalid for a bad option or environment
// variable, ErrLocked if another writer has the directory, ErrNotLog if an open that is read-only or
// WithMustExist finds none, *MemberError if not all of the directory's logs are there, or one does not belong
// there, *DamageError if durable data is damaged.
func Open(dir string, opts ...Option) (*Manager, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if err := cfg.checkFormat(); err != nil {
		return nil, err
	}
	if err := cfg.chooseBackend(); err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, path: absolute(dir), partitions: map[partitionKey]*Partition{}}
	m.root, err = cfg.backend.OpenDir(dir, backend.DirOptions{Create: !cfg.readOnly && !cfg.mustExist, ReadOnly: cfg.readOnly})
	if err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", dir, causeOf(err, dir))
	}
	if err := m.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", dir, err), m.abort())
	}
	cfg.logger.Info("log is open", "dir", dir, "backend", cfg.backend.Name(), "reason", cfg.backendReason,
		"fsync", cfg.fsync, "readonly", cfg.readOnly)
	return m, nil
}

func (m *Manager) open() error {
	start := time.Now()
	if !m.cfg.readOnly {
		if err := m.root.Lock(); err != nil {
			return causeOf(err, m.path)
		}
	}
	if err := m.openLogs(); err != nil {
		return err
	}
	found := false
	for _, s := range m.shards {
		if err := m.recoverShard(s); err != nil {
			return err
		}
		found = found || len(s.segments.all()) > 0 || s.marker
	}
	if !found && m.cfg.readOnly {
		return ErrNotLog
	}
	if !m.cfg.readOnly {
		m.shards[0].logID() // from now on it is settled, whoever asks first
		if err := m.makeShards(); err != nil {
			return err
		}
		m.findSpare()
	}
	tornTail := int64(0)
	for _, s := range m.shards {
		if !m.cfg.readOnly {
			if err := s.start(); err != nil {
				return err
			}
		}
		tornTail += s.count.tornTail.Load()
	}
	if !m.cfg.readOnly {
		m.startDictionaries()
	}
	if tornTail > 0 && !m.cfg.readOnly { // beside a writer it may be a frame that is just being written
		m.cfg.logger.Info("cut off what a crash left unfinished", "bytes", tornTail)
	}
	m.recoveryTime = time.Since(start)
	m.cfg.hooks.recovered(m.recoveryTime, tornTail)
	return nil
}

func (m *Manager) recoverShard(s *shard) error {
	r, err := s.recover(func(r *recovery) { r.salvage = m.cfg.allowDamage })
	if err != nil {
		return err
	}
	r.finish()
	return m.claim(s, s.partitions)
}

// abort closes what an open that failed has opened.
func (m *Manager) abort() error {
	var errs []error
	for _, s := range m.shards {
		s.beginClose()
		errs = append(errs, s.close())
	}
	return errors.Join(append(errs, m.root.Close())...)
}

// Append appends records to a partition; see Partition.Append.
func (m *Manager) Append(ctx context.Context, topic string, partition int32, records ...Record) (first int64, err error) {
	p, err := m.Partition(topic, partition)
	if err != nil {
		return 0, err
	}
	return p.Append(ctx, records...)
}

// Partition returns the handle of a partition. One that does not exist comes into being
// with its first append, and so does the log that LayoutDedicated gives it. ErrInvalid: the topic's name is empty, ".", "..", longer than 249
// bytes, not UTF-8, or holds a separator or control character; or the number is negative.
func (m *Manager) Partition(topic string, partition int32) (*Partition, error) {
	key := partitionKey{topic, partition}
	m.mu.RLock()
	p, closed := m.partitions[key], m.closed
	m.mu.RUnlock()
	if closed {
		return nil, ErrClosed
	}
	if p != nil {
		return p, nil
	}
	if err := CheckPartition(topic, partition); err != nil {
		return nil, err
	}
	if m.cfg.readOnly {
		return nil, fmt.Errorf("%w: %s/%d", ErrNoPartition, topic, partition)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.partitions[key]; p != nil {
		return p, nil
	}
	s, err := m.shardFor(key)
	if err != nil {
		return nil, err
	}
	p = &Partition{topic: topic, num: partition, shard: s}
	p.dictionary.Store(s.filed[topic])
	m.partitions[key] = p
	return p, nil
}

// shardFor chooses the log of a new partition. The caller holds m.mu.
func (m *Manager) shardFor(key partitionKey) (*shard, error) {
	if m.closed {
		return nil, ErrClosed
	}
	if m.cfg.layout == LayoutDedicated {
		return m.dedicate(), nil
	}
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s/%d", key.topic, key.num) // a hash never fails
	return m.shards[int(h.Sum32())%m.shared], nil
}

// Lookup returns the handle of a partition that exists, else ErrNoPartition.
func (m *Manager) Lookup(topic string, partition int32) (*Partition, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	if p := m.partitions[partitionKey{topic, partition}]; p != nil && p.isThere() {
		return p, nil
	}
	return nil, fmt.Errorf("%w: %s/%d", ErrNoPartition, topic, partition)
}

// isThere reports whether the partition exists: all those of a transaction do, or none.
func (p *Partition) isThere() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.exists.Load()
}

func (m *Manager) allShards() []*shard {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.shards)
}

// Sync returns once everything acknowledged before the call is durable. It has something
// to do only in mode periodic.
func (m *Manager) Sync(ctx context.Context) error {
	var errs []error
	for _, s := range m.allShards() {
		errs = append(errs, s.sync(ctx))
	}
	return errors.Join(errs...)
}

// Damage lists what is damaged in a log that was opened with WithAllowDamage.
func (m *Manager) Damage() []Damage {
	var list []Damage
	for _, s := range m.allShards() {
		list = append(list, s.damage...)
	}
	return list
}

// Backend returns the name of the IO backend in use, BackendReason why it was chosen.
func (m *Manager) Backend() string { return m.cfg.backend.Name() }

// BackendReason tells why the backend was chosen.
func (m *Manager) BackendReason() string { return m.cfg.backendReason }

// Close writes what was submitted, seals the log, and gives the directory back. Appends
// and readers that are under way end with ErrClosed. Closing again does nothing, but waits
// for a Close that is under way. After a Close without error anything missing at the end of
// the log is found out by the next open.
func (m *Manager) Close() (err error) {
	m.closing.Do(func() { err = m.close() })
	return err
}

func (m *Manager) close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	var errs []error
	for _, s := range m.shards {
		s.beginClose()
	}
	for _, p := range m.partitions {
		if !p.shard.isMade() {
			p.shard.beginClose()
		}
		p.mu.Lock()
		p.notify() // a follower looks and sees that the log is closing
		p.mu.Unlock()
	}
	var closed []*shard
	for _, s := range m.shards {
		err := s.close()
		if errs = append(errs, err); err == nil {
			closed = append(closed, s)
		}
	}
	if !m.cfg.readOnly {
		errs = append(errs, m.noteEnds(closed))
	}
	errs = append(errs, m.root.Close())
	return errors.Join(errs...)
}

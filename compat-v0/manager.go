package walv0

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	wal "github.com/chronik-go/wal/core"
)

// The partition that AppendLegacy appends to.
const (
	LegacyTopic     = "default"
	LegacyPartition = 0
)

// Manager is a data directory that is open for writing: a v1 log or, where the environment variable
// CHRONIK_WAL_LEGACY_FORMAT or the option wal.WithLegacyFormat says so, a v0 directory. So a program goes
// back to v0 without another binary. All methods may be called concurrently.
//
// A v0 directory has what v0 had: one write and one sync for each append, a file per partition, and none
// of v1's promises about batches, transactions and damage.
type Manager struct {
	log   *wal.Manager
	store *store
}

// Legacy reports whether the environment or an option asks for the v0 layout.
func Legacy(opts ...wal.Option) (bool, error) {
	settings, err := wal.Environment(opts...)
	if err != nil {
		return false, err
	}
	for _, s := range settings {
		if s.Variable == "CHRONIK_WAL_LEGACY_FORMAT" {
			return strconv.ParseBool(s.Value)
		}
	}
	return false, nil
}

// Open opens a data directory, and makes it if it is not there. A v1 log is not opened as a v0
// directory, nor the other way round: that is ErrLayout. A v0 directory that is damaged is ErrDamaged.
//
// A v0 directory has neither encryption nor compression, and its own checksum: options that ask for
// others are ErrNotInV0, as plain records would be written. All else of opts has no effect there.
func Open(dir string, opts ...wal.Option) (*Manager, error) {
	legacy, err := Legacy(opts...)
	if err == nil && legacy {
		err = checkStorage(opts)
	}
	if err != nil {
		return nil, err
	}
	if err := CheckLayout(dir, legacy); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if legacy {
		s, err := openStore(dir)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", dir, err)
		}
		return &Manager{store: s}, nil
	}
	log, err := wal.Open(dir, opts...)
	if err != nil {
		return nil, err
	}
	return &Manager{log: log}, nil
}

// checkStorage refuses options about how records are stored that a v0 directory would drop.
func checkStorage(opts []wal.Option) error {
	is, err := wal.StorageOf(opts...)
	if err != nil {
		return err
	}
	without, err := wal.StorageOf()
	if err != nil {
		return err
	}
	switch {
	case is.Cipher != "" || is.SealedOnly:
		return fmt.Errorf("%w: records are not encrypted there: leave WithKeys and WithSealedOnly out, or stay with v1", ErrNotInV0)
	case is.Codec != "" || len(is.TopicCodecs) > 0:
		return fmt.Errorf("%w: records are not compressed there: leave WithCodec and WithTopicCodec out", ErrNotInV0)
	case is.Checksum != without.Checksum:
		return fmt.Errorf("%w: its checksum is its own: leave WithChecksum out", ErrNotInV0)
	}
	return nil
}

// isV1 reports whether a directory has a file that only a v1 log has. One with the dedicated layout, or
// with shards on disks of their own, may have no segment itself.
func isV1(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return !e.IsDir() && slices.Contains([]string{".wal", ".member", ".marker"}, filepath.Ext(e.Name()))
	}), nil
}

// CheckLayout returns ErrLayout, with what to do, if a directory holds a v1 log and the v0 layout is asked
// for, or the other way round.
func CheckLayout(dir string, legacy bool) error {
	v1, err := isV1(dir)
	if err != nil {
		return err
	}
	if legacy && v1 {
		return fmt.Errorf("%w: it is a v1 log: set CHRONIK_WAL_LEGACY_FORMAT to false, or make a v0 directory of it with "+
			"wal-migrate --reverse", ErrLayout)
	}
	if t, err := list(dir); err == nil && len(t.files) > 0 && !legacy {
		return fmt.Errorf("%w: it is a v0 directory: set CHRONIK_WAL_LEGACY_FORMAT to true, or make a v1 log of it with "+
			"wal-migrate", ErrLayout)
	}
	return nil
}

// Log returns the v1 log, with all that it can; nil of a v0 directory.
func (m *Manager) Log() *wal.Manager { return m.log }

// Append appends records to a partition, and returns the first one's offset once they are durable: of a
// v1 log, as wal.Partition.Append does. In a v0 directory they are V1 records, and after a crash some of
// them may be there without the others.
func (m *Manager) Append(ctx context.Context, topic string, partition int32, records ...wal.Record) (int64, error) {
	if m.log != nil {
		return m.log.Append(ctx, topic, partition, records...)
	}
	return m.store.append(ctx, partitionID{topic, partition}, records)
}

// AppendLegacy appends data as one record to the partition 0 of the topic default, and returns its
// offset once it is durable, as v0 did.
//
// Deprecated: it is there for programs that were written for v0. Use Append.
func (m *Manager) AppendLegacy(data []byte) (int64, error) {
	return m.Append(context.Background(), LegacyTopic, LegacyPartition, wal.Record{Value: data})
}

// Read returns the records of a partition from an offset on, up to what is durable when it begins, in the
// order of offsets. Their memory is the caller's. Of a v1 log it is wal.Partition.Read; in a v0 directory all
// files of the partition are read first, and the order is not theirs but that of the offsets.
func (m *Manager) Read(ctx context.Context, topic string, partition int32, from int64) iter.Seq2[wal.Record, error] {
	if m.log == nil {
		return m.store.read(ctx, partitionID{topic, partition}, from)
	}
	return func(yield func(wal.Record, error) bool) {
		p, err := m.log.Lookup(topic, partition)
		if err != nil {
			yield(wal.Record{}, err)
			return
		}
		for r, err := range p.Read(ctx, from) {
			if !yield(r, err) {
				return
			}
		}
	}
}

// Partitions describes the partitions that exist, in the order of topic and number.
func (m *Manager) Partitions() []wal.PartitionInfo {
	if m.log != nil {
		return m.log.Partitions()
	}
	return m.store.list()
}

// Close gives the directory back. What follows ends with wal.ErrClosed.
func (m *Manager) Close() error {
	if m.log != nil {
		return m.log.Close()
	}
	return m.store.close()
}

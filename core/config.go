package wal

import (
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/format"
)

// FsyncMode says when an append is acknowledged.
type FsyncMode int

const (
	// FsyncBatch acknowledges a record when it is durable; a group lingers a little
	// (WithBatchLimits), so that fewer syncs carry more records.
	FsyncBatch FsyncMode = iota + 1
	// FsyncAlways acknowledges a record when it is durable; a group is written as soon
	// as the disk is free.
	FsyncAlways
	// FsyncPeriodic acknowledges a record when it is written, and syncs on a timer
	// (WithSyncInterval): a power failure may take the records of the last interval.
	FsyncPeriodic
)

func (m FsyncMode) String() string {
	switch m {
	case FsyncBatch:
		return "batch"
	case FsyncAlways:
		return "always"
	case FsyncPeriodic:
		return "periodic"
	}
	return fmt.Sprintf("FsyncMode(%d)", int(m))
}

// ParseFsyncMode reads a mode as users write it. The error wraps ErrInvalid.
func ParseFsyncMode(s string) (FsyncMode, error) {
	for m := FsyncBatch; m <= FsyncPeriodic; m++ {
		if m.String() == s {
			return m, nil
		}
	}
	return 0, fmt.Errorf("%w fsync mode %q: one of always, batch, periodic", ErrInvalid, s)
}

// Checksum is what guards the batches of a segment; it stands in the segment's header. Headers
// and directories have CRC-32C always.
type Checksum = format.Checksum

const (
	// ChecksumCRC32C is CRC-32C, which most processors have an instruction for.
	ChecksumCRC32C = format.ChecksumCRC32C
	// ChecksumXXH64 is the lower half of XXH64: for processors that have none.
	ChecksumXXH64 = format.ChecksumXXH64
)

// Layout says how partitions share logs.
type Layout int

const (
	// LayoutShared writes all partitions into one log, or into one a shard.
	LayoutShared Layout = iota + 1
	// LayoutDedicated gives each partition that is new a log of its own, with its own
	// files, buffer and goroutines, in a folder dedicated-000001 and so on. It is made with the
	// partition's first append, which waits for that, also AppendAsync.
	LayoutDedicated
)

func (l Layout) String() string {
	if l == LayoutDedicated {
		return "dedicated"
	}
	return "shared"
}

// The limits of what can be configured.
const (
	// MinSegmentSize is the smallest segment, bytes.
	MinSegmentSize = 16 << 10
	// MaxSegmentSize is the largest segment, bytes.
	MaxSegmentSize = 1 << 40
	// MinBufferSize is the smallest write buffer, bytes.
	MinBufferSize = 32 << 10
	// MaxBufferSize is the largest write buffer, bytes.
	MaxBufferSize = 1 << 30
	// MaxRecordLimit is the highest limit for the size of one append, bytes.
	MaxRecordLimit = 1 << 30
	// MaxShards bounds WithShards.
	MaxShards = 1024
	// MaxHeaders bounds the headers of one record.
	MaxHeaders = 1 << 16
)

// config is what a Manager runs with.
type config struct {
	backend       backend.Backend
	backendReason string
	segmentSize   int64
	rotationAge   time.Duration
	fsync         FsyncMode
	bufferSize    int
	legacy        bool
	disableURing  bool
	bufferPool    bool
	stdLocks      bool

	readOnly     bool
	mustExist    bool
	allowDamage  bool
	noWait       bool
	syncInterval time.Duration
	batchBytes   int
	batchRecords int
	batchDelay   time.Duration
	maxRecord    int64
	shards       int
	layout       Layout
	recycle      int
	moveLimit    int64
	logger       hclog.Logger
	hooks        Hooks
	progress     func(done, total int64)
	checksum     format.Checksum
	codec        Codec            // nil: appends are not compressed
	topicCodecs  map[string]Codec // those of topics that have their own
	keys         KeyProvider      // nil: nothing is encrypted
	hasKeys      bool             // WithKeys was given
	cipher       Cipher           // nil: AES
	sealedOnly   bool
	ring         keyring
	dictionaries dictionaries

	set map[string]bool // variables that an option has set
}

func defaultConfig() config {
	return config{
		segmentSize:  1 << 30,
		rotationAge:  time.Hour,
		fsync:        FsyncBatch,
		bufferSize:   4 << 20,
		bufferPool:   true,
		syncInterval: 100 * time.Millisecond,
		batchBytes:   64 << 10,
		batchRecords: 64,
		batchDelay:   500 * time.Microsecond,
		maxRecord:    100 << 20,
		shards:       1,
		layout:       LayoutShared,
		recycle:      2,
		moveLimit:    4 << 30,
		logger:       hclog.NewNullLogger(),
		checksum:     format.ChecksumCRC32C,
		topicCodecs:  map[string]Codec{},
		set:          map[string]bool{},
	}
}

// newConfig applies, in rising order of weight, the defaults, the environment, opts.
func newConfig(opts []Option) (*config, error) {
	c := defaultConfig()
	for i, o := range opts {
		if o == nil {
			return nil, fmt.Errorf("%w: option %d is nil", ErrInvalid, i+1)
		}
		o(&c)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return &c, c.applyEnvironment()
}

func (c *config) check() error {
	type limit struct {
		what             string
		value, low, high int64
	}
	for _, l := range []limit{
		{"segment size", c.segmentSize, MinSegmentSize, MaxSegmentSize},
		{"rotation age in ms", c.rotationAge.Milliseconds(), 1, 1 << 50},
		{"buffer size", int64(c.bufferSize), MinBufferSize, MaxBufferSize},
		{"fsync mode", int64(c.fsync), int64(FsyncBatch), int64(FsyncPeriodic)},
		{"layout", int64(c.layout), int64(LayoutShared), int64(LayoutDedicated)},
		{"sync interval", int64(c.syncInterval), 1, 1 << 60},
		{"batch bytes", int64(c.batchBytes), 1, 1 << 40},
		{"batch records", int64(c.batchRecords), 1, 1 << 40},
		{"batch delay", int64(c.batchDelay), 0, int64(time.Minute)},
		{"record limit", c.maxRecord, 1, MaxRecordLimit},
		{"number of shards", int64(c.shards), 1, MaxShards},
		{"number of recycled segments", int64(c.recycle), 0, 1 << 20},
		{"move limit", c.moveLimit, 0, 1 << 60},
	} {
		if l.value < l.low || l.value > l.high {
			return fmt.Errorf("%w %s %d: from %d to %d", ErrInvalid, l.what, l.value, l.low, l.high)
		}
	}
	if c.allowDamage && !c.readOnly {
		return fmt.Errorf("%w: WithAllowDamage needs WithReadOnly: a damaged log is repaired before it is written", ErrInvalid)
	}
	if !c.checksum.Known() {
		return fmt.Errorf("%w %v: one of crc32c, xxh64", ErrInvalid, c.checksum)
	}
	if err := c.checkEncryption(); err != nil {
		return err
	}
	return c.checkCodecs()
}

// checkEncryption refuses what asks for encryption and would write plain records.
func (c *config) checkEncryption() error {
	switch {
	case c.hasKeys && c.keys == nil:
		return fmt.Errorf("%w: WithKeys of no provider would encrypt nothing: leave it out for a log that is not encrypted", ErrInvalid)
	case c.cipher != nil && c.keys == nil:
		return fmt.Errorf("%w: WithCipher encrypts nothing without a key: it needs WithKeys", ErrInvalid)
	case c.sealedOnly && c.keys == nil && !c.readOnly:
		return fmt.Errorf("%w: WithSealedOnly would not read what is appended without a key: it needs WithKeys", ErrInvalid)
	}
	return nil
}

// checkFormat refuses to write a layout that only the module compat-v0 writes. Environment tells it all the same.
func (c *config) checkFormat() error {
	if c.legacy && !c.readOnly {
		return fmt.Errorf("%w: the v0 layout is asked for, which only the module compat-v0 writes: set %s to false", ErrInvalid, envLegacyFormat)
	}
	return nil
}

// chooseBackend settles the backend, if no option named one.
func (c *config) chooseBackend() (err error) {
	if c.backend != nil {
		c.backendReason = "named by the application"
		return nil
	}
	var skip []string
	if c.disableURing {
		skip = append(skip, "uring")
	}
	c.backend, c.backendReason, err = backend.Auto(skip...)
	return err
}

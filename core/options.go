package wal

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/chronik-go/wal/core/backend"
)

// Option configures a Manager. An option wins over the environment variable of the same
// meaning. A value out of range makes Open fail with ErrInvalid.
type Option func(*config)

// WithBackend chooses the IO backend. Default: the best linked one that runs here.
func WithBackend(b backend.Backend) Option { return func(c *config) { c.backend = b } }

// WithSegmentSize sets the size at which a segment is full, bytes. Default 1 GiB.
func WithSegmentSize(bytes int64) Option {
	return func(c *config) { c.segmentSize = bytes; c.set[envSegmentSize] = true }
}

// WithRotationAge sets the age at which a segment that holds records is closed and the
// next one begun. Default 1 h.
func WithRotationAge(age time.Duration) Option {
	return func(c *config) { c.rotationAge = age; c.set[envRotationAge] = true }
}

// WithFsyncMode sets when appends are acknowledged. Default FsyncBatch.
func WithFsyncMode(m FsyncMode) Option {
	return func(c *config) { c.fsync = m; c.set[envFsyncMode] = true }
}

// WithBufferSize sets the size of a log's write buffer, bytes: the most that can be
// appended and not yet written, and how far back readers are served from memory.
// Default 4 MiB.
func WithBufferSize(bytes int) Option {
	return func(c *config) { c.bufferSize = bytes; c.set[envBufferSize] = true }
}

// WithDisableIOUring makes the automatic choice of a backend pass io_uring over.
func WithDisableIOUring(disable bool) Option {
	return func(c *config) { c.disableURing = disable; c.set[envDisableURing] = true }
}

// WithLegacyFormat asks for the v0 layout, which the module compat-v0 writes, through an Open like this
// one. The engine cannot: an Open for writing fails.
func WithLegacyFormat(legacy bool) Option {
	return func(c *config) { c.legacy = legacy; c.set[envLegacyFormat] = true }
}

// WithBufferPool says whether buffers for reading and recovery are used again (the
// default) or left to the garbage collector.
func WithBufferPool(pool bool) Option {
	return func(c *config) { c.bufferPool = pool; c.set[envDisablePool] = true }
}

// WithStdLocks makes the append lock a sync.Mutex in place of the FIFO-fair lock.
func WithStdLocks(std bool) Option {
	return func(c *config) { c.stdLocks = std; c.set[envStdLocks] = true }
}

// WithReadOnly opens the log for reading: no byte is changed, no lock taken. It works
// beside a running writer; Manager.Refresh takes in what that one has added.
func WithReadOnly() Option { return func(c *config) { c.readOnly = true } }

// WithMustExist makes an open for writing fail where there is no log, as a read-only one does: with
// ErrNotLog, or fs.ErrNotExist if there is no directory. Nothing is changed then.
func WithMustExist() Option { return func(c *config) { c.mustExist = true } }

// WithAllowDamage lets a read-only open of a damaged log succeed. Manager.Damage lists
// what is damaged; readers yield a *LostError where records are missing.
func WithAllowDamage() Option { return func(c *config) { c.allowDamage = true } }

// WithNoWait makes an append fail with ErrBackpressure when the write buffer is full.
// Default: it waits until its context ends.
func WithNoWait() Option { return func(c *config) { c.noWait = true } }

// WithSyncInterval sets the interval of FsyncPeriodic. Default 100 ms.
func WithSyncInterval(d time.Duration) Option { return func(c *config) { c.syncInterval = d } }

// WithBatchLimits sets when a lingering group of FsyncBatch goes out at the latest: when it
// holds so many bytes or records, or delay after its first record, whichever comes first. It
// goes out sooner where waiting was seen to bring no more. Default 64 KiB, 64 records,
// 500 µs; a timer of the Go runtime may take a millisecond all the same.
func WithBatchLimits(bytes, records int, delay time.Duration) Option {
	return func(c *config) { c.batchBytes, c.batchRecords, c.batchDelay = bytes, records, delay }
}

// WithMaxRecordSize limits the encoded size of the records of one append, bytes.
// Default 104,857,600.
func WithMaxRecordSize(bytes int64) Option { return func(c *config) { c.maxRecord = bytes } }

// WithShards spreads new partitions over n logs. The first is in the data directory,
// the others in its folders shard-0001 and so on, which may be mount points of other
// disks, or links to them: mount them before the first open with so many shards. From then on
// a disk that is not mounted, or mounted elsewhere, is a *MemberError, whatever n is.
//
// n can be raised at any time. A partition stays in the log it began in; only new ones use
// the new logs. A lower n than there are logs changes nothing: all of them stay in use.
// Default 1.
func WithShards(n int) Option { return func(c *config) { c.shards = n } }

// WithLayout sets the layout for new partitions. Those that exist stay where they are, so it can be
// another one at each open. Default LayoutShared.
func WithLayout(l Layout) Option { return func(c *config) { c.layout = l } }

// WithRecycleLimit sets how many segments that retention let go of are kept for reuse, a
// log. Default 2.
func WithRecycleLimit(n int) Option { return func(c *config) { c.recycle = n } }

// WithMoveLimit bounds how many bytes of log a lagging partition may hold back: beyond
// it, what it still needs of the oldest segment is written again at the end of the log,
// and the segment goes. 0 never moves anything. Default 4 GiB.
func WithMoveLimit(bytes int64) Option { return func(c *config) { c.moveLimit = bytes } }

// WithChecksum sets what guards batches in the segments that this Manager begins. Default
// ChecksumCRC32C. All kinds can be read, and one log may have segments of each.
func WithChecksum(c Checksum) Option { return func(cfg *config) { cfg.checksum = c } }

// WithCodec has appends compressed. A batch that does not get smaller is stored as it is.
// Default, and for nil: none is compressed. What was compressed is read with the codecs that
// are registered and those passed here.
func WithCodec(codec Codec) Option { return func(c *config) { c.codec = codec } }

// WithTopicCodec is WithCodec for the appends of one topic, which it wins for.
func WithTopicCodec(topic string, codec Codec) Option {
	return func(c *config) { c.topicCodecs[topic] = codec }
}

// WithKeys has appends encrypted and authenticated, with a data key that the provider wraps, and
// lets what was encrypted be read. A log that has records already becomes an encrypted one: the
// old ones stay as they are. A log that is encrypted cannot be opened for writing without. A nil
// provider is refused.
func WithKeys(p KeyProvider) Option { return func(c *config) { c.keys, c.hasKeys = p, true } }

// withoutKeys takes back what asks for encryption.
func withoutKeys(c *config) { c.keys, c.hasKeys, c.cipher = nil, false, nil }

// WithCipher sets what WithKeys encrypts with, and needs it. Default AES().
func WithCipher(how Cipher) Option { return func(c *config) { c.cipher = how } }

// WithSealedOnly makes reading records that are not encrypted fail with ErrNotEncrypted: for a log
// that was encrypted from its beginning, somebody must have put them there. To append it needs WithKeys.
func WithSealedOnly() Option { return func(c *config) { c.sealedOnly = true } }

// WithLogger sets where to log. Nothing is logged for an append. Default, and for nil:
// nowhere.
func WithLogger(l hclog.Logger) Option {
	return func(c *config) {
		if c.logger = l; l == nil {
			c.logger = hclog.NewNullLogger()
		}
	}
}

// WithHooks sets functions to call on events.
func WithHooks(h Hooks) Option { return func(c *config) { c.hooks = h } }

// WithProgress sets a function that is told how much of long work (recovery, Verify,
// Repair) is done, in bytes. It may be called from several goroutines.
func WithProgress(f func(done, total int64)) Option { return func(c *config) { c.progress = f } }

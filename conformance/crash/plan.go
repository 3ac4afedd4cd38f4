package crash

import (
	"fmt"
	"math/rand/v2"

	"github.com/chronik-go/wal/codec"
	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

// dir is where the log lies on the simulated disk.
const dir = "/log"

// plan is what a workload does, drawn from its seed.
type plan struct {
	seed      uint64
	mode      wal.FsyncMode
	disk      sim.Options
	options   []wal.Option
	producers int
	owned     int    // partitions of each producer's own
	shared    int    // partitions that all producers append to
	rounds    int    // times that the log is opened
	ops       int    // operations of a producer in one round
	value     int    // bytes, the usual size of a value
	text      string // the rest of it
	// dictionaries: topics get dictionaries while it runs.
	dictionaries bool
}

func (p plan) String() string { return fmt.Sprintf("mode %v, %s", p.mode, p.text) }

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// newPlan draws the plan of a seed.
func newPlan(seed uint64) plan {
	r := newRand(seed, 1)
	p := plan{
		seed:      seed,
		mode:      pick(r, wal.FsyncAlways, wal.FsyncAlways, wal.FsyncBatch, wal.FsyncPeriodic),
		producers: 4 + r.IntN(2),
		owned:     1 + r.IntN(2),
		shared:    r.IntN(3),
		rounds:    pick(r, 1, 1, 2, 3),
		value:     pick(r, 40, 200, 600),
	}
	p.ops = 14 / p.rounds
	p.disk = sim.Options{
		Alignment: pick(r, 512, 512, 512, 4096), Depth: pick(r, 1, 1, 2, 4), Seed: seed,
		PerWriteSync: r.IntN(4) == 0, PreferWritten: r.IntN(8) == 0,
	}
	segment := pick(r, 16, 16, 24, 32, 64) << 10
	buffer := pick(r, 32, 64) << 10
	recycle := r.IntN(3)
	move := pick[int64](r, 0, 1, 20, 50) << 10
	p.options = []wal.Option{
		wal.WithSegmentSize(int64(segment)), wal.WithBufferSize(buffer),
		wal.WithRecycleLimit(recycle), wal.WithMoveLimit(move), wal.WithStdLocks(r.IntN(8) == 0),
		wal.WithBatchLimits(8<<10, 8, 20_000), wal.WithSyncInterval(1_000_000),
	}
	p.setMode(p.mode)
	shards := 1
	if r.IntN(8) == 0 {
		shards = 2
	}
	p.options = append(p.options, wal.WithShards(shards))
	compress := drawCodec(seed)
	p.dictionaries = compress == codec.Zstd(0)
	sum := pick(newRand(seed, 9), wal.ChecksumCRC32C, wal.ChecksumCRC32C, wal.ChecksumXXH64)
	p.options = append(p.options, wal.WithCodec(compress), wal.WithChecksum(sum))
	encrypt, how := drawKeys(seed)
	p.options = append(p.options, encrypt...)
	p.text = fmt.Sprintf("depth %d, alignment %d, segment %d, buffer %d, recycle %d, move %d, shards %d, per-write sync %v, codec %v, %v, %s",
		p.disk.Depth, p.disk.Alignment, segment, buffer, recycle, move, shards, p.disk.PerWriteSync, compress, sum, how)
	return p
}

// drawCodec draws what a workload compresses with, nothing for every third.
func drawCodec(seed uint64) wal.Codec {
	return pick(newRand(seed, 8), nil, nil, codec.LZ4(0), codec.LZ4(0), codec.S2(0), codec.Zstd(0), codec.Zstd(0))
}

func (p *plan) setMode(m wal.FsyncMode) {
	p.mode, p.options = m, append(p.options, wal.WithFsyncMode(m))
}

// again is the plan for going on after a crash: short, with one producer.
func (p plan) again(seed uint64) plan {
	r := newRand(seed, 2)
	p.seed, p.producers, p.rounds, p.shared = seed, 1, 1, 0
	p.ops = 2 + r.IntN(5)
	return p
}

func (p *plan) open(b backend.Backend, more ...wal.Option) (*wal.Manager, error) {
	opts := append([]wal.Option{wal.WithBackend(b)}, p.options...)
	return wal.Open(dir, append(opts, more...)...)
}

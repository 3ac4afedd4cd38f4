package wal_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
)

// The numbers of Stats are those of what happened.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, small)
		require.Equal(t, wal.Stats{Logs: 1}, m.Stats(), "nothing happened yet")
		p := partition(t, m, "t", 0)
		_, err := p.Append(bg, big(100, 'x'), big(100, 'x'))
		require.NoError(t, err)
		st := m.Stats()
		require.EqualValues(t, 1, st.Appends)
		require.EqualValues(t, 2, st.Records)
		require.EqualValues(t, 200, st.Bytes)
		require.EqualValues(t, 1, st.Groups)
		require.EqualValues(t, 1, st.Syncs)
		require.EqualValues(t, 1, st.Rotations)
		require.EqualValues(t, 4096+512+512, st.BytesWritten, "header, declaration, group")
		require.EqualValues(t, 1, st.AppendLatency.Count)
		require.EqualValues(t, 1, st.SyncLatency.Count)

		disk.Stall()
		ack, err := p.AppendAsync(bg, record("x"))
		require.NoError(t, err)
		synctest.Wait()
		time.Sleep(3 * time.Second)
		disk.Resume()
		require.NoError(t, ack.Wait(bg))
		st = m.Stats()
		require.Equal(t, 3*time.Second, st.AppendLatency.Max)
		require.Equal(t, 3*time.Second, st.AppendLatency.Sum)
		require.Equal(t, 3*time.Second, st.SyncLatency.Max)
		require.Equal(t, 3*time.Second, st.AppendLatency.Quantile(1))
		require.LessOrEqual(t, st.AppendLatency.Quantile(0.5), time.Microsecond)

		for range 4 {
			churn(t, p, 60)
		}
		st = m.Stats()
		require.EqualValues(t, 2+240+4, st.Appends, "truncations are entries too")
		require.EqualValues(t, 3+240, st.Records)
		require.Positive(t, st.Dropped)
		require.Positive(t, st.Recycled)
		require.Greater(t, st.Rotations, st.Recycled)
		require.Zero(t, st.QueueFull+st.MovedBytes)
		require.Zero(t, st.TornTailBytes)

		data, err := json.Marshal(st)
		require.NoError(t, err)
		var back wal.Stats
		require.NoError(t, json.Unmarshal(data, &back))
		require.Equal(t, st, back)
	})
}

// Stats of several logs are their sum.
func TestStatsOfShards(t *testing.T) {
	disk := newDisk(t, sim.Options{})
	m := open(t, disk, wal.WithShards(3))
	fill(t, m, 9, 10)
	st := m.Stats()
	require.EqualValues(t, 90, st.Appends)
	require.EqualValues(t, 3, st.Rotations)
	require.EqualValues(t, 90, st.AppendLatency.Count)
	require.Equal(t, st.Groups, st.SyncLatency.Count)
}

// What a crash left unfinished is cut off, and counted.
func TestTornTailIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		p := partition(t, m, "t", 0)
		appendValues(t, p, 5)
		disk.Stall()
		_, err := p.AppendAsync(bg, big(5000, 'x'))
		require.NoError(t, err)
		synctest.Wait() // it is in flight
		var tails recorder[int64]
		hooks := wal.WithHooks(wal.Hooks{Recovered: func(_ time.Duration, n int64) { tails.add(n) }})
		for _, mode := range []sim.Mode{sim.DropAll, sim.KeepAll, sim.Prefix} {
			image := disk.Image(sim.Image{Mode: mode, N: 3})
			checkAtEnd(t, image)
			again := open(t, image, hooks)
			st := again.Stats()
			switch mode {
			case sim.Prefix: // some of its blocks
				require.EqualValues(t, 5120, st.TornTailBytes, "as long as its header says")
				require.Equal(t, 1, st.TornTails)
				requireValues(t, lookup(t, again, "t", 0), 0, 5)
			case sim.DropAll:
				require.Zero(t, st.TornTailBytes)
				requireValues(t, lookup(t, again, "t", 0), 0, 5)
			default:
				require.Zero(t, st.TornTailBytes)
				require.EqualValues(t, 6, lookup(t, again, "t", 0).NextOffset())
			}
		}
		require.Equal(t, []int64{0, 0, 5120}, tails.all())
	})
}

// Partitions and Segments describe what is there; handles without records are not.
func TestInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk)
		require.Empty(t, m.Partitions())
		require.Empty(t, segments(t, m))
		partition(t, m, "never", 0)
		for _, name := range []string{"b", "a", "c"} {
			for _, id := range []int32{2, 10, 1} {
				appendValues(t, partition(t, m, name, id), 3)
			}
		}
		require.NoError(t, lookup(t, m, "a", 2).TruncateBefore(bg, 2))
		appendAt(t, lookup(t, m, "b", 1), 10, 1)
		list := m.Partitions()
		require.Len(t, list, 9)
		for i, want := range []string{"a 1", "a 2", "a 10", "b 1", "b 2", "b 10", "c 1", "c 2", "c 10"} {
			require.Equal(t, want, string(record("%s %d", list[i].Topic, list[i].Partition).Value))
			require.Positive(t, list[i].Bytes)
		}
		require.Equal(t, wal.PartitionInfo{Topic: "a", Partition: 2, FirstOffset: 2, NextOffset: 3, DurableOffset: 3, Records: 1, Bytes: list[1].Bytes}, list[1])
		require.Equal(t, wal.PartitionInfo{Topic: "b", Partition: 1, NextOffset: 11, DurableOffset: 11, Records: 4, Bytes: list[3].Bytes}, list[3])

		s := segments(t, m)[0]
		require.Equal(t, "active", s.State)
		require.Equal(t, time.Now().UTC(), s.Created)
		require.Len(t, s.Partitions, 9)
		require.Contains(t, s.Partitions, wal.PartitionSpan{Topic: "a", Partition: 2, From: 0, To: 3})
		require.Contains(t, s.Partitions, wal.PartitionSpan{Topic: "b", Partition: 1, From: 0, To: 11})
		before := segments(t, m)
		require.NoError(t, m.Close())
		m = open(t, disk)
		require.Equal(t, list, m.Partitions())
		after := segments(t, m)
		require.Len(t, after, 1)
		require.Equal(t, "sealed", after[0].State)
		require.ElementsMatch(t, before[0].Partitions, after[0].Partitions)
		require.Equal(t, before[0].LastLSN, after[0].LastLSN)
	})
}

// The state that Stats tells is that of the moment: what waits, what a power failure would
// take, which log has failed.
func TestStatsTellTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t, sim.Options{})
		m := open(t, disk, wal.WithFsyncMode(wal.FsyncPeriodic), wal.WithSyncInterval(time.Minute), wal.WithSegmentSize(1<<20))
		p := partition(t, m, "t", 0)
		_, err := p.Append(bg, big(100, 'x'))
		require.NoError(t, err)
		st := m.Stats()
		require.EqualValues(t, 100, st.UnsyncedBytes)
		require.EqualValues(t, 1, st.PrepareWaits)
		require.Equal(t, 1, st.Segments)
		require.NoError(t, m.Sync(bg))
		require.Zero(t, m.Stats().UnsyncedBytes)

		disk.Stall()
		var acks recorder[wal.Ack]
		for range 5 { // of 64 KiB together, of which there is room for 3
			go func() {
				ack, err := p.AppendAsync(bg, big(15000, 'x'))
				if err == nil {
					acks.add(ack)
				}
			}()
			synctest.Wait()
		}
		st = m.Stats()
		require.Len(t, acks.all(), int(st.Queued), "those are in the buffer")
		require.Positive(t, st.Blocked)
		require.Equal(t, 5, int(st.Queued)+st.Blocked)
		require.EqualValues(t, st.Blocked, st.QueueFull)
		disk.Resume()
		synctest.Wait()
		st = m.Stats()
		require.Zero(t, st.Queued+uint64(st.Blocked))
		require.EqualValues(t, 5*15000, st.UnsyncedBytes)
		require.Zero(t, st.WriteErrors+uint64(st.FailedLogs))

		disk.Inject(sim.Fault{Op: sim.OpWrite, Times: sim.Forever})
		_, err = p.Append(bg, record("x"))
		require.ErrorIs(t, err, wal.ErrFailed)
		st = m.Stats()
		require.EqualValues(t, 1, st.WriteErrors)
		require.Equal(t, 1, st.FailedLogs)
	})
}

// A file that was ready in time is not waited for.
func TestPrepareWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, newDisk(t, sim.Options{}))
		p := partition(t, m, "t", 0)
		for range 40 {
			_, err := p.Append(bg, big(8000, 'x'))
			require.NoError(t, err)
			synctest.Wait() // the preparer is done with what it was asked for
		}
		st := m.Stats()
		require.Greater(t, st.Rotations, uint64(4))
		require.EqualValues(t, 1, st.PrepareWaits, "for the first segment")
	})
}

package walv0_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	walv0 "github.com/chronik-go/wal/compat-v0"
	wal "github.com/chronik-go/wal/core"
)

// What is written is byte for byte what the description of the layouts gives.
func TestAppendV1(t *testing.T) {
	for _, r := range []v1{one(0, "value"), whole, {offset: math.MaxInt64 - 2, time: -5, key: "k", headers: []string{"", ""}}} {
		record := wal.Record{Offset: r.offset, Timestamp: time.UnixMilli(r.time).Add(999_999), Key: []byte(r.key), Value: []byte(r.value)}
		if r.noKey {
			record.Key = nil
		}
		for i := 0; i < len(r.headers); i += 2 {
			record.Headers = append(record.Headers, wal.Header{Key: r.headers[i], Value: []byte(r.headers[i+1])})
		}
		b, err := walv0.AppendV1([]byte("before"), &record)
		require.NoError(t, err)
		require.Equal(t, "before"+string(r.bytes()), string(b))
	}
	for _, bad := range []wal.Record{
		{Offset: -1}, {Offset: math.MaxInt64 - 1}, {Headers: []wal.Header{{Key: strings.Repeat("k", 1<<16)}}},
		{Headers: make([]wal.Header, wal.MaxHeaders+1), Timestamp: time.UnixMilli(0)}, {Timestamp: time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if bad.Timestamp.IsZero() {
			bad.Timestamp = time.UnixMilli(0)
		}
		b, err := walv0.AppendV1([]byte("before"), &bad)
		require.ErrorIs(t, err, wal.ErrInvalid)
		require.Equal(t, "before", string(b))
	}
}

func TestAppendV2c(t *testing.T) {
	b, err := walv0.AppendV2c([]byte("before"), "t", 0, []byte("data"), 5, 9, 3)
	require.NoError(t, err)
	require.Equal(t, "before"+string(c(5, 9, 3, "data").bytes()), string(b))
	for _, bad := range []struct {
		topic      string
		base, last int64
		count      int32
	}{{"t", -1, 0, 1}, {"t", 2, 1, 1}, {"t", 0, math.MaxInt64, 1}, {"t", 0, 0, -1}, {strings.Repeat("t", 1<<16), 0, 0, 1}} {
		b, err := walv0.AppendV2c([]byte("before"), bad.topic, 0, nil, bad.base, bad.last, bad.count)
		require.ErrorIs(t, err, wal.ErrInvalid)
		require.Equal(t, "before", string(b))
	}
}

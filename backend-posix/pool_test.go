package posix

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/chronik-go/wal/core/backend"
)

func TestPoolHolds(t *testing.T) {
	mem := make([]byte, 16384)
	b := &backend.Buffer{}
	p := pool{pages: map[*backend.Buffer][]byte{b: mem[4096:8192]}}
	for _, c := range []struct {
		from, to int
		want     bool
	}{{4096, 8192, true}, {4096, 4608, true}, {7680, 8192, true}, {5000, 5001, true},
		{0, 4096, false}, {3584, 4608, false}, {7680, 8704, false}, {8192, 8704, false}, {0, 16384, false}} {
		assert.Equal(t, c.want, p.holds(b, mem[c.from:c.to]), "%+v", c)
	}
	assert.False(t, p.holds(&backend.Buffer{}, mem[4096:8192]))
	assert.False(t, p.holds(nil, mem[4096:8192]))
}

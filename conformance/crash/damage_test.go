package crash

import (
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chronik-go/wal/core/backend"
	"github.com/chronik-go/wal/core/backend/sim"
)

var flagDamages = flag.Int("crash.damages", 40, "damages of each kind to each log")

func plain(d *sim.Disk) backend.Backend { return d }

// TestDamage damages sound logs in copies: each damage is told, with its place and what is
// lost, or does no harm.
func TestDamage(t *testing.T) {
	for _, closed := range []bool{false, true} {
		for i := range uint64(4) {
			seed := *flagSeed + i
			t.Run(fmt.Sprintf("closed=%v/seed=%d", closed, seed), func(t *testing.T) {
				t.Parallel()
				v, bad := newVictim(seed, closed, plain)
				if bad != nil {
					t.Fatal(bad)
				}
				forged, err := v.forgeries()
				require.NoError(t, err)
				if !closed { // else it cannot be told from what was written
					v.checkAll(t, forged)
				}
				r := newRand(seed, 77)
				for range *flagDamages {
					v.checkAll(t, v.harms(r))
				}
				require.NotZero(t, v.c.recoveries)
			})
		}
	}
}

func (v *victim) checkAll(t *testing.T, harms []harm) {
	for _, h := range harms {
		if bad := v.check(h); bad != nil {
			t.Fatalf("%v\n\t%s %s", bad, h.file, h.text)
		}
	}
}

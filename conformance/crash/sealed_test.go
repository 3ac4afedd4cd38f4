package crash

import (
	"testing"

	"github.com/chronik-go/wal/core/backend/sim"
)

// TestSealed does to encrypted logs what G16 speaks of.
func TestSealed(t *testing.T) {
	d := sim.New(sim.Options{NoTrace: true})
	if err := CheckSealed(d, dir, simFiles{d}, 1); err != nil {
		t.Fatal(err)
	}
}

// simFiles are the log's files on a simulated disk.
type simFiles struct{ d *sim.Disk }

func (f simFiles) Names() ([]string, error)          { return f.d.Files(dir), nil }
func (f simFiles) Read(name string) ([]byte, error)  { return f.d.ReadFile(dir + "/" + name) }
func (f simFiles) Write(name string, b []byte) error { return f.d.WriteFile(dir+"/"+name, b) }
func (f simFiles) Remove(name string) error          { return f.d.Delete(dir + "/" + name) }

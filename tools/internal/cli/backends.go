package cli

import (
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend"
)

// backendJSON is a backend as backends prints it.
type backendJSON struct {
	Name   string `json:"name"`
	Linked bool   `json:"linked"`
	Usable bool   `json:"usable"`
	Reason string `json:"reason"`
	// Auto marks the one that --backend auto takes.
	Auto bool `json:"auto"`
}

// knownBackends are the backends that a build of this program can have.
var knownBackends = []string{"uring", "posix", "mmap"}

func (c *cli) backendsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backends", Short: "List the IO backends and say which one auto takes", Args: noArguments,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		list, err := listBackends()
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(list)
		}
		var t table
		t.row("NAME", "LINKED", "USABLE", "AUTO", "REASON")
		for _, b := range list {
			t.row(b.Name, b.Linked, b.Usable, b.Auto, b.Reason)
		}
		return c.printTable(&t)
	}
	return cmd
}

func listBackends() ([]backendJSON, error) {
	skip, err := disabledBackends()
	if err != nil {
		return nil, err
	}
	chosen, why, autoErr := backend.Auto(skip...)
	var list []backendJSON
	for _, b := range backend.Linked() {
		line := backendJSON{Name: b.Name(), Linked: true, Usable: true, Reason: "runs here"}
		if err := b.Probe(); err != nil {
			line.Usable, line.Reason = false, oneLine(err.Error())
		}
		if autoErr == nil && b.Name() == chosen.Name() {
			line.Auto, line.Reason = true, "auto takes it: "+why
		} else if slices.Contains(skip, b.Name()) {
			line.Reason += "; auto passes it over: CHRONIK_WAL_DISABLE_IO_URING is true"
		}
		list = append(list, line)
	}
	for _, name := range knownBackends {
		if !slices.ContainsFunc(list, func(b backendJSON) bool { return b.Name == name }) {
			list = append(list, backendJSON{Name: name, Reason: "not part of this program"})
		}
	}
	return list, nil
}

// disabledBackends returns what auto passes over because the environment says so.
func disabledBackends() ([]string, error) {
	settings, err := wal.Environment()
	if err != nil {
		return nil, err
	}
	for _, s := range settings {
		if s.Variable != "CHRONIK_WAL_DISABLE_IO_URING" {
			continue
		}
		if disabled, err := strconv.ParseBool(s.Value); err == nil && disabled {
			return []string{"uring"}, nil
		}
	}
	return nil, nil
}

package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/chronik-go/wal/conformance/crash"
	"github.com/chronik-go/wal/conformance/internal/writer"
)

// childEnv says, in its environment, what a process is to do that a crash layer started.
const childEnv = "CHRONIK_CONFORMANCE_CHILD"

// Exit statuses of a child.
const (
	exitDone    = 0
	exitUsage   = 2
	exitRefused = 3 // the log, or a check, returned an error; it is on standard error
	exitSkipped = 4 // the check cannot run here; why is on standard error
	exitFound   = 5 // a guarantee is broken; which one is on standard error
)

// task is what a child does: one of these.
type task struct {
	// Write is to write to a log, Host to be the host of a crash layer.
	Write *writeTask `json:",omitempty"`
	Host  *hostTask  `json:",omitempty"`
	// Serve is to serve what a layer mounts.
	Serve *serveTask `json:",omitempty"`
	// Check is the check to run the part of that is to be apart.
	Check string `json:",omitempty"`
	// Dir is where its directories go. They are its parent's to remove, whoever it becomes.
	Dir string `json:",omitempty"`
	// Lock is the directory to lock until standard input ends.
	Lock string `json:",omitempty"`
	// Idle is to do nothing until standard input ends.
	Idle bool `json:",omitempty"`
}

// writeTask is the work of a process that a layer crashes.
type writeTask struct {
	Job writer.Job
	// Page is the path of the ack page.
	Page string
	// Limits are what the process grants itself, nil for no less than usual.
	Limits *limits `json:",omitempty"`
}

func isChild() bool { return os.Getenv(childEnv) != "" }

// process makes a command that carries out a task; it is not started yet.
func (s *suite) process(ctx context.Context, k task) (*exec.Cmd, *strings.Builder, error) {
	if s.command == nil {
		return nil, nil, errors.New("this needs a process of its own, which only Run can start")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	text, err := json.Marshal(k)
	if err != nil {
		return nil, nil, err
	}
	args := append(slices.Clone(s.command), fmt.Sprint("-conformance.states=", *flagStates))
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	return cmd, &stderr, nil
}

// child carries out the task of this process and ends it.
func (s *suite) child() {
	var k task
	status, err := exitUsage, json.Unmarshal([]byte(os.Getenv(childEnv)), &k)
	switch {
	case err != nil:
	case k.Write != nil:
		status, err = s.write(k.Write)
	case k.Host != nil:
		status, err = exitDone, s.host(k.Host)
	case k.Check != "":
		status, err = s.checkApart(k.Check, k.Dir)
	case k.Lock != "":
		status, err = s.hold(k.Lock)
	case k.Idle:
		_, err = io.Copy(io.Discard, os.Stdin)
		status = exitDone
	case k.Serve != nil:
		status, err = exitDone, serve(k.Serve)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = max(status, exitUsage)
	}
	os.Exit(status)
}

func (s *suite) write(k *writeTask) (status int, err error) {
	b, err := s.factory()
	if err != nil {
		return exitUsage, err
	}
	page, err := writer.OpenPage(k.Page)
	if err != nil {
		return exitUsage, err
	}
	defer func() { _ = page.Close() }() // the process ends
	if k.Limits != nil {
		if err := k.Limits.set(); err != nil {
			return exitUsage, err
		}
	}
	err = writer.Write(context.Background(), b, k.Job, page)
	if _, found := errors.AsType[*crash.Violation](err); found {
		return exitFound, err
	}
	if err != nil {
		return exitRefused, err
	}
	return exitDone, nil
}

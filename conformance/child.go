package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/chronik-go/wal/conformance/internal/writer"
)

// childEnv says, in its environment, what a process is to do that a crash layer started.
const childEnv = "CHRONIK_CONFORMANCE_CHILD"

// Exit statuses of a child.
const (
	exitDone    = 0
	exitUsage   = 2
	exitRefused = 3 // the log returned an error; it is on standard error
)

// task is what a child does.
type task struct {
	Job writer.Job
	// Page is the path of the ack page.
	Page string
}

func isChild() bool { return os.Getenv(childEnv) != "" }

// process makes a command that carries out a task; it is not started yet.
func (s *suite) process(ctx context.Context, k task) (*exec.Cmd, *strings.Builder, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	text, err := json.Marshal(k)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, s.command...)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	return cmd, &stderr, nil
}

// child carries out the task of this process and ends it.
func (s *suite) child() {
	var k task
	status, err := exitUsage, json.Unmarshal([]byte(os.Getenv(childEnv)), &k)
	if err == nil {
		status, err = s.write(k)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(status)
}

func (s *suite) write(k task) (status int, err error) {
	b, err := s.factory()
	if err != nil {
		return exitUsage, err
	}
	page, err := writer.OpenPage(k.Page)
	if err != nil {
		return exitUsage, err
	}
	defer func() { _ = page.Close() }() // the process ends
	if err := writer.Write(context.Background(), b, k.Job, page); err != nil {
		return exitRefused, err
	}
	return exitDone, nil
}

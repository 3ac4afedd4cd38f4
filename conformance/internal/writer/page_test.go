package writer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A page is one for whoever opens it by its path, and ends with the one that made it.
func TestPageIsShared(t *testing.T) {
	p, err := CreatePage()
	require.NoError(t, err)
	q, err := OpenPage(p.Path())
	require.NoError(t, err)
	require.NoError(t, q.submitted(1, 7))
	require.NoError(t, q.acked(1, 5))
	require.NoError(t, q.Close())
	list, err := p.Sample(2)
	require.NoError(t, err)
	require.Equal(t, []Progress{{}, {Submitted: 7, Acked: 5}}, list)
	require.NoError(t, p.Close())
	_, err = OpenPage(p.Path())
	require.Error(t, err)
}

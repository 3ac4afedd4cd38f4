package metrics_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	wal "github.com/chronik-go/wal/core"
	"github.com/chronik-go/wal/core/backend/sim"
	"github.com/chronik-go/wal/metrics"
)

func Example() {
	m, err := wal.Open("/data", wal.WithBackend(sim.New(sim.Options{}))) // your program imports a backend for files
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	registry := prometheus.NewRegistry() // or the one that your program serves by promhttp.HandlerFor
	registry.MustRegister(metrics.New(m))

	if _, err := m.Append(context.Background(), "orders", 0, wal.Record{Value: []byte("two teas")}); err != nil {
		log.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "chronik_wal_records_total" {
			fmt.Println(f.GetHelp(), f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	// Output: Records acknowledged. 1
}

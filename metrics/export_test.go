package metrics

// Row is a row of the table of metrics in docs/operations.md.
type Row struct {
	Name, Kind, Help string
	Labels           []string
}

// Table lists all metrics.
func Table() []Row {
	var rows []Row
	for _, e := range catalog() {
		rows = append(rows, Row{e.name, e.kind, e.help, e.labels})
	}
	return rows
}

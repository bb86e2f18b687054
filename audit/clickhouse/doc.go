// Package clickhouse is the store in ClickHouse.
package clickhouse

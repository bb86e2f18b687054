package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cwmpgate/cwmpgate/audit/retention"
)

// How often the gateway looks for requests, and tidies the store.
const (
	requestsEvery = time.Second
	tidyEvery     = 24 * time.Hour
	tidyAgain     = 10 * time.Minute // where it failed
)

// keepHouse answers requests and tidies the store, at the start and daily, until
// ctx ends. What is broken off is done at the next start.
func (g *gate) keepHouse(ctx context.Context) {
	tick := time.NewTicker(requestsEvery)
	defer tick.Stop()
	var next time.Time
	for {
		if g.answerRequests(ctx) {
			next = time.Time{}
		}
		if !time.Now().Before(next) {
			next = time.Now().Add(g.tidy(ctx))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tidy says when to do it again.
func (g *gate) tidy(ctx context.Context) time.Duration {
	n, err := g.keeper.Tidy(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		g.log.Error().Err(err).Int("removed", n).Msg("tidy the store; tried again in " + tidyAgain.String())
		return tidyAgain
	case n > 0:
		g.log.Info().Int("removed", n).Msg("records were removed from the store; the system records of what retention and erasure say which")
	}
	if err := requestsOf(g.config).tidy(time.Now()); err != nil {
		g.log.Error().Err(err).Msg("remove old results of requests")
	}
	return tidyEvery
}

// answerRequests carries out what commands have asked for, and says whether
// something of it is left to be done.
func (g *gate) answerRequests(ctx context.Context) (unfinished bool) {
	dir := requestsOf(g.config)
	ids, err := dir.waiting()
	if err != nil {
		g.log.Error().Err(err).Msg("look for requests")
	}
	for _, id := range ids {
		request, err := dir.read(id)
		var result retention.Result
		if err != nil {
			result.Error = err.Error()
		} else {
			result = g.do(ctx, request)
		}
		if ctx.Err() != nil {
			return false // it is carried out by the next start, or its rest
		}
		// The log outlives what is erased: it names no device.
		g.log.Info().Str("do", request.Do).Uint64("record", result.First).Int("removed", result.Records).Str("error", result.Error).Msg("answered a request")
		unfinished = unfinished || result.Error != "" && result.First > 0
		if err := dir.answer(id, result); err != nil {
			g.log.Error().Err(err).Msg("answer a request")
		}
	}
	return unfinished
}

// do carries a request out. What was put aside is in no store, so that an erasure
// would not reach it, and it could come there later.
func (g *gate) do(ctx context.Context, request retention.Request) retention.Result {
	if request.Do == retention.Erase {
		aside, err := g.aside.Files()
		if err != nil {
			return retention.Result{Error: err.Error()}
		}
		if len(aside) > 0 {
			return retention.Result{Error: "records that the store did not take are in " + g.aside.Directory +
				": have them taken (store retry) or remove them first, for what is erased may be among them"}
		}
	}
	return g.keeper.Do(ctx, request)
}

// settle returns when the store has everything that is durable now, and records
// up to a number.
func (g *gate) settle(ctx context.Context, upTo uint64) error {
	upTo = max(upTo, g.journal.Stats().Durable)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		for _, c := range g.journal.Stats().Cursors {
			if c.Name == g.config.Store.kind() && c.Committed >= upTo {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the store lacks records of the journal: %w", context.Cause(ctx))
		case <-look.C:
		}
	}
}

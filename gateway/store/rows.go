package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/session"
)

// sessionRow is the durable part of a session.Phone, comparable, in the order of the table's columns.
type sessionRow struct {
	phone    gateway.PhoneID
	phase    string
	fence    gateway.Fence
	owner    gateway.ClinicianID
	custody  gateway.Custody
	permit   gateway.Grant
	locked   bool
	pickedUp bool
	over     bool
	since    column
	reason   gateway.Reason
	await    string
	next     gateway.Fence
	terms    gateway.Terms
	due      [6]column // by session.Timer
}

const sessionColumns = `
    phone, phase, fence, owner, custody, permit, locked, picked_up, over, since, reason, await, next,
    lease_len, idle_len, limit_len, drift_len, bind_len, release_len, pickup_len, return_len,
    answer_due, pickup_due, renew_due, lease_due, limit_due, return_due`

const sessionParameters = `
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
    ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
    ?22, ?23, ?24, ?25, ?26, ?27`

const (
	upsertSession = `INSERT INTO session (` + sessionColumns + `) VALUES (` + sessionParameters + `)
ON CONFLICT (phone) DO UPDATE SET (` + sessionColumns + `) = (` + sessionParameters + `)`
	selectSessions = `SELECT ` + sessionColumns + ` FROM session ORDER BY phone`
)

func rowOf(p session.Phone) sessionRow {
	r := sessionRow{
		phone: p.ID, phase: p.Phase.String(), fence: p.Fence, owner: p.Owner, custody: p.Custody, permit: p.Grant,
		locked: p.Locked, pickedUp: p.PickedUp, over: p.Over, since: instant(p.Since), reason: p.Reason,
		await: p.Await.String(), next: p.Next, terms: p.Terms,
	}
	for i, t := range session.Timers {
		r.due[i] = instant(p.Due.At(t))
	}
	return r
}

// args are the parameters of upsertSession.
func (r sessionRow) args() []any {
	var permit any
	if r.permit != (gateway.Grant{}) {
		permit = string(r.permit.Canonical())
	}
	args := []any{
		string(r.phone), r.phase, int64(r.fence), string(r.owner), int64(r.custody), permit, r.locked, r.pickedUp, r.over, r.since.arg(),
		string(r.reason), r.await, int64(r.next),
		int64(r.terms.Lease), int64(r.terms.Idle), int64(r.terms.Limit), int64(r.terms.Drift),
		int64(r.terms.Bind), int64(r.terms.Release), int64(r.terms.Pickup), int64(r.terms.Return),
	}
	for _, due := range r.due {
		args = append(args, due.arg())
	}
	return args
}

// scanPhone reads one row of selectSessions.
func scanPhone(rows *sql.Rows) (session.Phone, error) {
	var (
		p                    session.Phone
		phase, await         string
		fence, custody, next int64
		permit               sql.NullString
		since                column
		due                  [6]column
		t                    = &p.Terms
	)
	err := rows.Scan(&p.ID, &phase, &fence, &p.Owner, &custody, &permit, &p.Locked, &p.PickedUp, &p.Over, &since, &p.Reason, &await, &next,
		&t.Lease, &t.Idle, &t.Limit, &t.Drift, &t.Bind, &t.Release, &t.Pickup, &t.Return,
		&due[0], &due[1], &due[2], &due[3], &due[4], &due[5])
	if err != nil {
		return p, err
	}
	i := slices.IndexFunc(session.Phases, func(q session.Phase) bool { return q.String() == phase })
	if i < 0 {
		return p, fmt.Errorf("phone %s: phase %q is unknown", p.ID, phase)
	}
	p.Phase = session.Phases[i]
	if err := p.Await.UnmarshalText([]byte(await)); err != nil {
		return p, fmt.Errorf("phone %s: %w", p.ID, err)
	}
	if permit.Valid {
		if err := json.Unmarshal([]byte(permit.String), &p.Grant); err != nil {
			return p, fmt.Errorf("phone %s: read grant: %w", p.ID, err)
		}
	}
	p.Fence, p.Next, p.Custody = gateway.Fence(fence), gateway.Fence(next), gateway.Custody(custody)
	p.Since = since.time()
	p.Due = session.Due{
		Answer: due[0].time(), Pickup: due[1].time(), Renew: due[2].time(),
		Lease: due[3].time(), Limit: due[4].time(), Return: due[5].time(),
	}
	return p, nil
}

// column is a time as stored: Unix nanoseconds, NULL where it is not set.
type column struct{ sql.NullInt64 }

func instant(t time.Time) (c column) {
	if !t.IsZero() {
		c.Int64, c.Valid = t.UnixNano(), true
	}
	return c
}

func (c column) arg() any {
	if !c.Valid {
		return nil
	}
	return c.Int64
}

func (c column) time() time.Time {
	if !c.Valid {
		return time.Time{}
	}
	return time.Unix(0, c.Int64)
}

package simulate

import (
	"time"

	"fernweh/schemas"
)

// A task is what comes next at a moment: an event to send, a visitor who opens
// the portal, or, with neither, a passer-by of the live stream.
type task struct {
	due   int64  // UTC microseconds
	turn  uint64 // of two at one moment, the one put in first
	event *schemas.Event
	skew  time.Duration // of the event's device
	who   *visitor
}

// before orders tasks.
func (t *task) before(o *task) bool {
	return t.due < o.due || t.due == o.due && t.turn < o.turn
}

// A queue gives tasks by time: a binary heap, by hand because container/heap
// costs an allocation and two indirect calls a step.
type queue struct {
	tasks []task
	turns uint64
}

// push puts a task in.
func (q *queue) push(t task) {
	t.turn = q.turns
	q.turns++
	q.tasks = append(q.tasks, t)
	i := len(q.tasks) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !t.before(&q.tasks[parent]) {
			break
		}
		q.tasks[i] = q.tasks[parent]
		i = parent
	}
	q.tasks[i] = t
}

// pop takes the first task out; there must be one.
func (q *queue) pop() task {
	first := q.tasks[0]
	n := len(q.tasks) - 1
	last := q.tasks[n]
	q.tasks[n] = task{}
	q.tasks = q.tasks[:n]
	if n > 0 {
		q.sink(last)
	}
	return first
}

// sink puts t where it belongs, from the root on.
func (q *queue) sink(t task) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(q.tasks) {
			break
		}
		if child+1 < len(q.tasks) && q.tasks[child+1].before(&q.tasks[child]) {
			child++
		}
		if !q.tasks[child].before(&t) {
			break
		}
		q.tasks[i] = q.tasks[child]
		i = child
	}
	q.tasks[i] = t
}

package serving

// LineEvery is after how long a refusal gets a line again.
const LineEvery = lineEvery

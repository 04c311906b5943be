"""The plot of one or two runs of the load test."""

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402


def plot(path, tests):
    """The latencies of each event, over the time of the run."""
    figure, axes = pyplot.subplots(figsize=(9, 4.5))
    for (name, test), colour in zip(tests.items(), ("tab:blue", "tab:orange", "tab:green")):
        numbers = sorted(number for number in test.latencies if number >= test.first)
        times = [test.sent[number] - test.begun for number in numbers]
        for part, style in ((0.5, "-"), (0.99, ":")):
            axes.plot(times, [
                1000 * sorted(values)[int(part * (len(values) - 1))]
                for values in map(test.latencies.get, numbers)],
                style, color=colour, label="%s, p%d of the clients" % (name, 100 * part))
    axes.set(xlabel="seconds", ylabel="milliseconds from publish to arrival", yscale="log",
             title="%d clients, %d events a second" % (test.options.clients, test.options.rate))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)

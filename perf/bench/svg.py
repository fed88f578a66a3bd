"""Plots as SVG, without any library: bars by group, and lines on linear or logarithmic axes."""
import math
from xml.sax.saxutils import escape

COLOURS = ["#1b6ca8", "#d1495b", "#66a182", "#edae49", "#6d597a", "#8d99ae", "#2e4057", "#b56576"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 820, 420, 70, 170, 46, 60


def nice(number):
    """For labels: 1,000,000 as 1 M, and so on."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= unit:
            return f"{number / unit:g}{name}"
    return f"{number:g}"


def ticks(low, high, log):
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [10.0**power for power in range(first, last + 1)]
    raw = (high - low) / 6 or 1
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [step * n for n in range(math.floor(low / step), math.ceil(high / step) + 1)]


class Axis:
    def __init__(self, values, log, begin, end, zero=False):
        values = [value for value in values if value is not None and (value > 0 or not log)] or [1]
        low, high = (0 if zero and not log else min(values)), max(values)
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        self.log, self.begin, self.end = log, begin, end
        self.ticks = ticks(low, high, log)
        self.low, self.high = min(self.ticks[0], low), max(self.ticks[-1], high)

    def at(self, value):
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.begin + part * (self.end - self.begin)


class Plot:
    def __init__(self, title, x_label, y_label):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
        self.text(LEFT, 24, title, size=15, weight="bold")
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_label, anchor="middle")
        middle = (TOP + HEIGHT - BOTTOM) / 2
        self.text(16, middle, y_label, anchor="middle", turn=f"rotate(-90 16 {middle})")
        self.legends = 0

    def text(self, x, y, words, size=12, anchor="start", weight="normal", turn=""):
        turn = f' transform="{turn}"' if turn else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
                          f'font-weight="{weight}"{turn}>{escape(str(words))}</text>')

    def line(self, x1, y1, x2, y2, colour="#ccc", width=1):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>')

    def y_axis(self, axis):
        for tick in axis.ticks:
            self.line(LEFT, axis.at(tick), WIDTH - RIGHT, axis.at(tick), "#e4e4e4")
            self.text(LEFT - 6, axis.at(tick) + 4, nice(tick), anchor="end")
        self.line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "#333")
        self.line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "#333")

    def legend(self, words, colour):
        y = TOP + 10 + 18 * self.legends
        self.parts.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{y - 9}" width="11" height="11" fill="{colour}"/>')
        self.text(WIDTH - RIGHT + 30, y, words)
        self.legends += 1

    def write(self, path):
        with open(path, "w") as file:
            file.write("\n".join(self.parts + ["</svg>", ""]))


def bars(path, title, y_label, groups, series):
    """`series`: {name: {group: value}}."""
    plot = Plot(title, "", y_label)
    axis = Axis([value for row in series.values() for value in row.values()], False, HEIGHT - BOTTOM, TOP, zero=True)
    plot.y_axis(axis)
    room = (WIDTH - RIGHT - LEFT) / max(1, len(groups))
    wide = 0.8 * room / max(1, len(series))
    for index, (name, row) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        plot.legend(name, colour)
        for place, group in enumerate(groups):
            if row.get(group) is not None:
                x, top = LEFT + room * (place + 0.1) + wide * index, axis.at(row[group])
                plot.parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{HEIGHT - BOTTOM - top:.1f}" '
                                  f'fill="{colour}"><title>{escape(f"{name}, {group}: {row[group]:.4g}")}</title></rect>')
    for place, group in enumerate(groups):
        x, y = LEFT + room * (place + 0.5), HEIGHT - BOTTOM + 16
        plot.text(x, y, group, size=11, anchor="end" if len(groups) > 6 else "middle",
                  turn=f"rotate(-25 {x:.0f} {y:.0f})" if len(groups) > 6 else "")
    plot.write(path)


def lines(path, title, x_label, y_label, series, log_x=False, log_y=False, x_ticks=None):
    """`series`: {name: [(x, y)]}. `x_ticks`: [(x, label)] in the place of numbers."""
    plot = Plot(title, x_label, y_label)
    points = [point for row in series.values() for point in row]
    x_axis = Axis([x for x, _ in points], log_x, LEFT, WIDTH - RIGHT)
    y_axis = Axis([y for _, y in points], log_y, HEIGHT - BOTTOM, TOP, zero=True)
    plot.y_axis(y_axis)
    for tick, label in x_ticks or [(tick, nice(tick)) for tick in x_axis.ticks]:
        if x_axis.low <= tick <= x_axis.high:
            plot.line(x_axis.at(tick), HEIGHT - BOTTOM, x_axis.at(tick), HEIGHT - BOTTOM + 4, "#333")
            plot.text(x_axis.at(tick), HEIGHT - BOTTOM + 18, label, anchor="middle")
    for index, (name, row) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        plot.legend(name, colour)
        places = [(x_axis.at(x), y_axis.at(y)) for x, y in row if (x > 0 or not log_x) and (y > 0 or not log_y)]
        path_ = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        plot.parts.append(f'<polyline points="{path_}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(places) <= 40:
            plot.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    plot.write(path)

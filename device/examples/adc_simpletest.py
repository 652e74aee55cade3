"""An analogue input: a line a reading."""

from sensewell.sensor.adc import Adc
from sensewell.sensor.show import show


def main(pin, count=10):
    return show(Adc((pin,)), count)


if __name__ == "__main__":
    from machine import ADC, Pin

    main(ADC(Pin(34), atten=ADC.ATTN_11DB))

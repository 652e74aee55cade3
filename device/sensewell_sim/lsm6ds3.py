"""A simulated LSM6DS3: acceleration in mg, rate in degree/s / 10."""

from sensewell_sim.bus import Simulated, near

try:
    from micropython import const
except ImportError:
    from sensewell._port import micropython

    const = micropython.const

_WHO_AM_I = const(0x0F)
_CTRL1_XL = const(0x10)
_CTRL2_G = const(0x11)
_CTRL5_C = const(0x14)
_STATUS = const(0x1E)
_GYRO = const(0x22)
_ACCEL = const(0x28)
_PERIOD_US = const(2404)  # 416 Hz


class Lsm6ds3(Simulated):
    """levels: ax ay az in mg, gx gy gz in 0.1 degree/s. push_mg: of the self-test."""

    IDENTITY = _WHO_AM_I
    POWER_UP = bytes((_WHO_AM_I, 0x69, 0x12, 0x04))
    n_channels = 6

    def __init__(self, address=0x6A, levels=(20, -30, 1000, 5, -5, 10), noise=15):
        self.push_mg = 500
        super().__init__(address, levels, noise)

    def _before_read(self, register, n):
        r = self.registers
        if register != _STATUS or not (r[_CTRL1_XL] & 0xF0 and r[_CTRL2_G] & 0xF0):
            return
        if self.due(_PERIOD_US):
            self.measure()
            r[_STATUS] = 7
            ug = (61, 488, 122, 244)[r[_CTRL1_XL] >> 2 & 3]
            i = 0
            while i < 3:
                value = self.out[i] * 1000 // ug
                if r[_CTRL5_C] & 3:
                    value += self.push_mg * 1000 // ug
                self.little(_ACCEL + 2 * i, near(value))
                i += 1
            range_n = 1 << (r[_CTRL2_G] >> 2 & 3)
            while i < 6:
                value = self.out[i] * 10000 // (875 * range_n)
                if r[_CTRL5_C] & 0x0C:
                    value += 40000 // range_n
                self.little(_GYRO + 2 * i - 6, near(value))
                i += 1

    def _after_read(self, register, n):
        if register <= _STATUS and register + n > _ACCEL:
            self.registers[_STATUS] = 0

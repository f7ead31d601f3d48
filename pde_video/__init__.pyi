from pde_video.denoisers.adapters import from_eps as from_eps
from pde_video.denoisers.adapters import from_v as from_v
from pde_video.denoisers.adapters import from_x0 as from_x0
from pde_video.denoisers.models import from_onnx as from_onnx
from pde_video.denoisers.models import from_torch as from_torch
from pde_video.denoisers.network import Network as Network
from pde_video.denoisers.network import load_denoiser as load_denoiser
from pde_video.denoisers.pde import SmoothPrior as SmoothPrior
from pde_video.denoisers.pde import as_denoiser as as_denoiser
from pde_video.denoisers.pde import cosine_diffusion as cosine_diffusion
from pde_video.denoisers.windows import recurrent as recurrent
from pde_video.denoisers.windows import windowed as windowed
from pde_video.denoising.denoise import denoise as denoise  # command
from pde_video.denoising.first_frames import measure_noise as measure_noise
from pde_video.denoising.noise_estimate import NoiseEstimate as NoiseEstimate
from pde_video.errors import InputError as InputError
from pde_video.errors import OutputError as OutputError
from pde_video.errors import ParameterError as ParameterError
from pde_video.errors import SolverError as SolverError
from pde_video.errors import UnstableStepError as UnstableStepError
from pde_video.estimate.contrast import estimate_kappa as estimate_kappa
from pde_video.estimate.noise import estimate_noise as estimate_noise
from pde_video.estimate.noise import estimate_poisson_gaussian as estimate_poisson_gaussian
from pde_video.estimate.noise import estimate_sigma as estimate_sigma
from pde_video.estimate.stopping import StoppingTime as StoppingTime
from pde_video.estimate.stopping import stopping_time as stopping_time
from pde_video.estimate.variance_stabilizer import VarianceStabilizer as VarianceStabilizer
from pde_video.filters.conversion import clip as clip  # command
from pde_video.filters.conversion import normalize as normalize  # command
from pde_video.filters.conversion import to_gray as to_gray  # command
from pde_video.filters.declarations import Option as Option
from pde_video.filters.equations import ced as ced  # command
from pde_video.filters.equations import eed as eed  # command
from pde_video.filters.equations import heat as heat  # command
from pde_video.filters.equations import perona_malik as perona_malik  # command
from pde_video.filters.equations import tv as tv  # command
from pde_video.filters.extent import Extent as Extent
from pde_video.filters.filter import extent as extent
from pde_video.filters.filter import pipeline as pipeline
from pde_video.filters.filter import video_filter as video_filter
from pde_video.filters.frames import Frames as Frames
from pde_video.filters.framewise import framewise as framewise
from pde_video.filters.geometry import crop as crop  # command
from pde_video.filters.geometry import resize as resize  # command
from pde_video.filters.inter_frame import frame_difference as frame_difference  # command
from pde_video.filters.inter_frame import video_diffusion as video_diffusion
from pde_video.filters.masked import masking as masking
from pde_video.filters.reverse import reverse as reverse
from pde_video.filters.sample import predict as predict
from pde_video.filters.sample import refine as refine
from pde_video.filters.sample import sample as sample
from pde_video.filters.segments import merge as merge
from pde_video.filters.segments import split as split
from pde_video.filters.spacetime import spacetime as spacetime
from pde_video.filters.synthetic_noise import gaussian_noise as gaussian_noise  # command
from pde_video.filters.synthetic_noise import poisson_gaussian_noise as poisson_gaussian_noise  # command
from pde_video.integrators.cycles import fed as fed
from pde_video.integrators.cycles import fsi as fsi
from pde_video.integrators.cycles import rkl2 as rkl2
from pde_video.integrators.equilibrium import equilibrium as equilibrium
from pde_video.integrators.history import Certificate as Certificate
from pde_video.integrators.history import History as History
from pde_video.integrators.history import certificate as certificate
from pde_video.integrators.loop import evolution as evolution
from pde_video.integrators.loop import evolve as evolve
from pde_video.integrators.loop import uniform as uniform
from pde_video.integrators.steps import aos as aos
from pde_video.integrators.steps import crank_nicolson as crank_nicolson
from pde_video.integrators.steps import explicit_euler as explicit_euler
from pde_video.integrators.steps import heun as heun
from pde_video.integrators.steps import implicit_euler as implicit_euler
from pde_video.jobs.run import run as run
from pde_video.metrics.quality import compare as compare
from pde_video.metrics.quality import psnr as psnr
from pde_video.metrics.quality import ssim as ssim
from pde_video.metrics.quality import whiteness as whiteness
from pde_video.motion.optical_flow import occluded as occluded
from pde_video.motion.optical_flow import optical_flow as optical_flow
from pde_video.motion.optical_flow import warp as warp
from pde_video.protocols import Denoiser as Denoiser
from pde_video.protocols import Filter as Filter
from pde_video.protocols import Step as Step
from pde_video.protocols import Term as Term
from pde_video.protocols import Video as Video
from pde_video.resampling.extrapolate import extrapolate as extrapolate  # command
from pde_video.resampling.interpolate import interpolate as interpolate  # command
from pde_video.resampling.superresolve import superresolve as superresolve  # command superres
from pde_video.restoration.blend import blend as blend  # command
from pde_video.restoration.damaged_frames import detect_damaged_frames as detect_damaged_frames  # command
from pde_video.restoration.dead_pixels import detect_dead_pixels as detect_dead_pixels  # command
from pde_video.restoration.deflicker import deflicker as deflicker  # command
from pde_video.restoration.detectors import mask as mask  # command
from pde_video.restoration.dust import detect_dust as detect_dust  # command
from pde_video.restoration.fuse import fuse as fuse  # command
from pde_video.restoration.inpaint import inpaint as inpaint  # command
from pde_video.restoration.join import join as join  # command
from pde_video.restoration.logo import detect_logo as detect_logo  # command
from pde_video.restoration.scratches import detect_scratches as detect_scratches  # command
from pde_video.restoration.stabilize import stabilize as stabilize  # command
from pde_video.restoration.stitch import stitch as stitch  # command
from pde_video.reverse_process.hooks import classifier_free as classifier_free
from pde_video.reverse_process.hooks import clip_estimate as clip_estimate
from pde_video.reverse_process.hooks import data_consistency as data_consistency
from pde_video.reverse_process.hooks import dynamic_threshold as dynamic_threshold
from pde_video.reverse_process.hooks import guidance as guidance
from pde_video.reverse_process.losses import Bound as Bound
from pde_video.reverse_process.losses import gaussian_kl as gaussian_kl
from pde_video.reverse_process.losses import simple_loss as simple_loss
from pde_video.reverse_process.losses import variational_bound as variational_bound
from pde_video.reverse_process.reverse_term import Reverse as Reverse
from pde_video.reverse_process.samplers import ancestral as ancestral
from pde_video.reverse_process.samplers import ddim as ddim
from pde_video.reverse_process.samplers import posterior_mean as posterior_mean
from pde_video.reverse_process.samplers import replacement as replacement
from pde_video.reverse_process.schedules import Schedule as Schedule
from pde_video.reverse_process.schedules import ddpm as ddpm
from pde_video.reverse_process.schedules import karras as karras
from pde_video.terms.compose import Masked as Masked
from pde_video.terms.compose import Sum as Sum
from pde_video.terms.data import Fidelity as Fidelity
from pde_video.terms.data import Source as Source
from pde_video.terms.frame_difference import FrameDifference as FrameDifference
from pde_video.terms.heat import Heat as Heat
from pde_video.terms.perona_malik import PeronaMalik as PeronaMalik
from pde_video.terms.shock import Shock as Shock
from pde_video.terms.tensor import CoherenceEnhancing as CoherenceEnhancing
from pde_video.terms.tensor import EdgeEnhancing as EdgeEnhancing
from pde_video.terms.total_variation import TotalVariation as TotalVariation
from pde_video.terms.total_variation import tv_minimize as tv_minimize
from pde_video.threads import num_threads as num_threads
from pde_video.threads import set_num_threads as set_num_threads
from pde_video.tools.plots import plot_conductances as plot_conductances
from pde_video.tools.plots import plot_history as plot_history
from pde_video.tools.plots import plot_order as plot_order
from pde_video.tools.plots import plot_scale_space as plot_scale_space
from pde_video.video.files import read as read
from pde_video.video.files import write as write

Stabiliser = VarianceStabilizer  # Deprecated.

__version__: str
